"""The page's one style sheet: light and dark, wide and narrow, no font and no picture from elsewhere."""

from __future__ import annotations

__all__ = ["STYLE"]

#: ``--low`` to ``--high`` is the scale of scores, ``--worse`` and ``--better`` are the ends of differences.
STYLE = """
:root{color-scheme:light dark;--page:#fcfcfa;--card:#fff;--ink:#1d2126;--soft:#5c6570;--line:#dfe2e5;--quiet:#a9b1ba;
--accent:#0b62c4;--low:#c9d3df;--high:#0b4f9e;--better:#1b74d0;--worse:#d9641e}
@media (prefers-color-scheme:dark){:root{--page:#15181c;--card:#1b1f24;--ink:#e6e8eb;--soft:#9aa4af;--line:#30363d;
--quiet:#6d7782;
--accent:#6cb2ff;--low:#3a4450;--high:#7dc0ff;--better:#3d93ea;--worse:#d8702f}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:15px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main{max-width:1120px;margin:0 auto;padding:40px 28px 80px}
h1{font-size:15px;font-weight:500;color:var(--soft);margin:0 0 6px;overflow-wrap:anywhere}
h2{font-size:18px;line-height:1.3;margin:0 0 4px}
section{margin-top:46px}
p{margin:0 0 10px;max-width:96ch}
.verdict{font-size:25px;line-height:1.32;font-weight:600;letter-spacing:-.01em;margin:0 0 12px;max-width:56ch;
overflow-wrap:anywhere}
.note,.absent,figcaption,.key{color:var(--soft);font-size:13.5px}
.absent{font-style:italic}
.later{margin-top:18px}
.facts{display:flex;flex-wrap:wrap;gap:10px 34px;margin:22px 0 0;padding:0}
.facts div{min-width:70px}
.facts dt{color:var(--soft);font-size:12.5px}
.facts dd{margin:0;font-variant-numeric:tabular-nums}
.wide{overflow-x:auto;margin:12px 0 14px}
table{border-collapse:separate;border-spacing:0;font-size:13.5px;font-variant-numeric:tabular-nums;min-width:100%}
th,td{padding:5px 12px;text-align:right;white-space:nowrap;border-bottom:1px solid var(--line)}
th{font-weight:500;color:var(--soft);vertical-align:bottom}
td.name,th.name{text-align:left;position:sticky;left:0;background:var(--page)}
td.words,th.words{text-align:left}
tr.baseline td{font-weight:600}
.heat th,.heat td{padding:4px 9px;border-bottom:1px solid var(--page)}
.heat td{border-left:1px solid var(--page)}
.heat small{display:block;font-weight:400}
.bar{display:inline-block;vertical-align:middle;height:9px;width:120px;background:var(--line);margin-right:9px}
.bar i{display:block;height:100%;background:var(--accent)}
.plot{position:relative;height:290px;margin:16px 10px 44px 50px;font-size:12px;color:var(--soft)}
.plot svg{position:absolute;inset:0;width:100%;height:100%;overflow:visible}
.plot span{position:absolute;white-space:nowrap;line-height:1}
.plot .y{left:-50px;width:42px;text-align:right;transform:translateY(-50%)}
.plot .x{top:100%;margin-top:8px;transform:translateX(-50%)}
path,line{fill:none;vector-effect:non-scaling-stroke;stroke-linecap:round;stroke-linejoin:round}
.grid{stroke:var(--line);stroke-width:1}
.axis{stroke:var(--quiet);stroke-width:1}
.other{stroke:var(--quiet);stroke-width:1.2;opacity:.75}
.best{stroke:var(--accent);stroke-width:2.4}
.base{stroke:var(--ink);stroke-width:2.4;stroke-dasharray:6 4}
path.base.dot{stroke-dasharray:none}
.dot{stroke-width:6}
.dot.large{stroke-width:10;opacity:1}
path.base.ring{stroke-width:17;stroke-dasharray:none;opacity:.45}
.key{display:flex;flex-wrap:wrap;gap:4px 22px;margin:8px 0 0;padding:0;list-style:none}
.key svg{width:26px;height:8px;margin-right:7px;overflow:visible}
.parallel{height:300px;margin:52px 66px 34px 26px;}
.parallel .value{margin-left:6px;transform:translateY(-50%);font-size:11.5px;
background:color-mix(in srgb,var(--page) 78%,transparent)}
.plot .axisname{white-space:normal;overflow-wrap:anywhere;text-align:center;line-height:1.15;
bottom:100%;margin-bottom:16px;color:var(--ink);transform:translateX(-50%)}
.trial{stroke-width:1.6;opacity:.85}
.failed{stroke:var(--quiet);stroke-width:1;stroke-dasharray:2 4}
.scale{display:inline-block;width:90px;height:8px;margin:0 7px 1px;
background:linear-gradient(90deg in oklab,var(--low),var(--high))}
.interval{position:relative;height:26px;border-bottom:1px solid var(--line);margin:6px 0 10px;max-width:560px}
.interval i,.interval b,.interval u{position:absolute;top:0;bottom:0}
.interval u{width:0;border-left:1px dashed var(--soft)}
.interval i{top:11px;height:3px;bottom:auto;background:var(--ink)}
.interval b{width:10px;height:10px;margin-left:-5px;top:8px;border-radius:50%;background:var(--accent)}
.told{overflow-wrap:anywhere;font-size:13.5px;max-width:100ch;margin:0 0 22px;padding-left:20px}
.picture{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:14px 12px;margin:14px 0 28px}
figure{margin:0}
figure img{display:block;width:100%;height:auto;margin-bottom:3px}
figcaption{overflow-wrap:anywhere;line-height:1.3}
details{margin-top:10px}
summary{cursor:pointer;color:var(--accent)}
a{color:var(--accent)}
pre{overflow-x:auto;font:12.5px/1.5 ui-monospace,Menlo,Consolas,monospace;
background:var(--card);border:1px solid var(--line);padding:14px}
@media (max-width:640px){main{padding:24px 16px 56px}.verdict{font-size:20px}.facts{gap:10px 22px}.plot{height:230px}
.parallel{height:270px}.keys td.name{white-space:normal;overflow-wrap:anywhere;min-width:120px}
.picture{grid-template-columns:1fr 1fr}.bar{width:60px}th,td{padding:5px 8px}}
@media print{.wide{overflow:visible}section{break-inside:avoid}}
"""
