// Numbers and elements. Text from the record gets into the page as text nodes alone.

const known = (value) => value !== undefined && value !== null;
const percent = (share) => `${(100 * share).toFixed(1)} %`;
const percentTick = (share) => `${Number((100 * share).toPrecision(4))} %`;
const ratio = (value) => `${value < 10 ? value.toFixed(2) : value.toPrecision(3)} ×`;
const fourDigits = (value) => value.toFixed(4);
const grouped = (value) => value.toLocaleString("en");

function short(value) {
  for (const [size, letter] of [[1e9, " G"], [1e6, " M"], [1e3, " k"]])
    if (value >= size) return Number((value / size).toPrecision(3)) + letter;
  return String(Number(value.toPrecision(3)));
}

function interval(row, name, format) {
  const [low, high] = ["low", "high"].map((end) => row[`${name}_${end}`]);
  const bare = (value) => format(value).replace(/ [%×]$/, "");
  return known(low) && known(high) ? `${format(row[name])} (${bare(low)} to ${bare(high)})` : format(row[name]);
}

function chance(value) {
  if (!known(value)) return "–";
  return value < 0.01 ? "<0.01" : value > 0.99 ? ">0.99" : value.toFixed(2);
}

function unpacked({columns, rows}) {
  return rows.map((row) => Object.fromEntries(row.map((value, number) => [columns[number], value])));
}

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes))
    if (name === "on") for (const [event, listener] of Object.entries(value)) node.addEventListener(event, listener);
    else if (known(value)) node.setAttribute(name, value);
  node.append(...children.filter(known));
  return node;
}

const el = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);
const svg = (tag, attributes = {}, ...children) =>
  fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);

function chooser(label, options, changed) {
  const select = el("select", {on: {change: () => changed(options[select.selectedIndex])}});
  select.append(...options.map((option) => el("option", {}, option.name)));
  return el("label", {class: "chooser"}, `${label} `, select);
}
