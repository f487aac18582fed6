document.querySelectorAll("script.figure").forEach(source => {
  const figure = JSON.parse(source.textContent), place = source.parentElement;
  const given = figure.layout || {}, template = given.template || {};
  // A title of the page breaks into lines; one of the chart would be cut off.
  const title = given.title?.text ?? given.title;
  if (title) {
    const caption = document.createElement("p");
    caption.className = "caption";
    caption.textContent = title.replace(/<br ?.?>/g, " ");
    place.before(caption);
    delete given.title;
    given.margin = {...given.margin, t: 30};
  }
  if (place.clientWidth < 500) {
    given.legend = {...given.legend, orientation: "h", x: 0, y: -0.25, yanchor: "top"};
    if (given.xaxis2) given.width = 640;  // charts side by side are scrolled
  }
  // A responsive chart takes the height of its place.
  place.style.height = (given.height || (template.layout || {}).height || 380) + "px";
  const config = {responsive: true, displaylogo: false, showSendToCloud: false};
  Plotly.newPlot(place, {...figure, layout: given, config: config});
});
// A chart drawn in a closed box has no width yet.
const fit = () => document.querySelectorAll(".js-plotly-plot").forEach(chart => {
  if (chart.offsetWidth) Plotly.Plots.resize(chart);
});
document.querySelectorAll("details").forEach(box => box.addEventListener("toggle", fit));
document.querySelectorAll(".switches input").forEach(box => { box.onchange = fit; });
// On paper nothing can be scrolled: charts are as wide as A4, and wide tables smaller.
const PAPER = 700;
const print = begins => () => {
  document.body.style.width = begins ? `${PAPER}px` : "";
  document.querySelectorAll(".js-plotly-plot").forEach(chart => {
    if (chart.offsetWidth) Plotly.relayout(chart, {width: begins ? PAPER : null, autosize: !begins});
  });
  document.querySelectorAll("table, math[display=block]").forEach(wide => {
    wide.style.zoom = begins ? Math.min(1, PAPER / wide.scrollWidth) : "";
  });
};
addEventListener("beforeprint", print(true));
addEventListener("afterprint", print(false));
document.querySelectorAll("table.dataframe").forEach(({ tHead, rows }) => {
  [...tHead?.rows[0].cells ?? []].forEach((head, i) => {
    if (!/^p\b/.test(head.textContent)) return;
    [...rows].map(row => row.cells[i]).forEach(cell => {
      if (/^[\d.e-]+$/.test(cell?.textContent) && cell.textContent < 0.001) cell.textContent = "< 0.001";
    });
  });
});
// The numbers behind a chart, written when they are asked for.
const MOST = 200;
const list = values => values?.length ? Array.from(values) : [];
function numbers(traces) {
  const table = document.createElement("table");
  const add = (tag, values) => {
    const row = table.insertRow();
    values.forEach(v => { row.appendChild(document.createElement(tag)).textContent = v ?? ""; });
  };
  for (const trace of traces) {
    const x = list(trace.x), y = list(trace.y), z = list(trace.z);
    add("th", z.length ? [trace.name ?? "", ...x] : [trace.name ?? trace.type, "x", "y"]);
    if (z.length) z.slice(0, MOST).forEach((row, i) => add("td", [y[i] ?? i, ...row]));
    else y.slice(0, MOST).forEach((value, i) => add("td", ["", x[i] ?? i, value]));
    if (y.length > MOST) add("td", [`… ${y.length - MOST} more`]);
  }
  return table;
}
document.querySelectorAll(".js-plotly-plot").forEach(place => {
  const fold = document.createElement("details");
  fold.innerHTML = '<summary>Data</summary><div class="scroll"></div>';
  fold.addEventListener("toggle", () => fold.lastChild.replaceChildren(numbers(place._fullData)));
  place.after(fold);
});
