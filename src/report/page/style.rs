//! How the page looks.

/// Its style sheet: system fonts, ink and paper by the reader's preference, tables that scroll on a
/// narrow screen and break between rows on paper.
pub const STYLE: &str = "
:root { --ink: #1b1f24; --paper: #ffffff; --soft: #5b6570; --line: #d5dae0; --band: #f4f6f8;
  --bad: #b3261e; --warn: #8a5a00; --good: #1e6b3a; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e7ea; --paper: #15181c; --soft: #9aa4ae;
  --line: #343a41; --band: #1d2126; --bad: #ff8a80; --warn: #f2c063; --good: #7ed29a; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1rem 4rem; max-width: 84rem; color: var(--ink);
  background: var(--paper); font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .3rem; overflow-wrap: anywhere; }
h2 { font-size: 1.25rem; margin: 2.5rem 0 .5rem; padding-top: .6rem; border-top: 2px solid var(--line); }
h3 { font-size: 1rem; margin: 1.5rem 0 .4rem; overflow-wrap: anywhere; }
p { max-width: 48rem; margin: .4rem 0; }
.note { color: var(--soft); font-size: .875rem; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(10.5rem, 1fr)); gap: .75rem; margin: 1rem 0; }
.tile { border: 1px solid var(--line); border-radius: .4rem; padding: .6rem .8rem; }
.tile b { display: block; font-size: 1.25rem; font-variant-numeric: tabular-nums; }
.tile span { color: var(--soft); font-size: .8125rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .8125rem; margin: .6rem 0; }
th, td { padding: .3rem .55rem; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--line);
  font-variant-numeric: tabular-nums; vertical-align: top; }
th { color: var(--soft); font-weight: 600; white-space: normal; vertical-align: bottom; }
th:first-child, td:first-child, .text { text-align: left; }
tbody tr:nth-child(even) { background: var(--band); }
td small { display: block; color: var(--soft); white-space: normal; min-width: 9rem; max-width: 18rem; }
td.wide { white-space: normal; overflow-wrap: anywhere; }
code { font: .8125rem/1.4 ui-monospace, monospace; overflow-wrap: anywhere; }
.liquidate { color: var(--bad); font-weight: 600; }
.margin_call { color: var(--warn); font-weight: 600; }
.healthy { color: var(--good); }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 30rem), 1fr)); gap: 1rem; }
figure { margin: 0; border: 1px solid var(--line); border-radius: .4rem; padding: .5rem; break-inside: avoid; }
figcaption { font-size: .8125rem; padding: 0 .3rem .3rem; overflow-wrap: anywhere; }
figcaption b { font-size: .9375rem; }
svg { display: block; width: 100%; }
@media print { :root { --ink: #000; --paper: #fff; --soft: #444; --line: #bbb; --band: #f4f4f4;
  --bad: #900; --warn: #640; --good: #040; }
  body { max-width: none; padding: 0; font-size: 11px; } .scroll { overflow: visible; }
  table { font-size: 8.5px; } th, td { padding: .15rem .3rem; white-space: normal; }
  thead { display: table-header-group; } tr { break-inside: avoid; } h2, h3 { break-after: avoid; } }
";
