// One network: its drawing, its numbers, and what to type next.

const OPS = {mbconv: "MBConv", fused_mbconv: "Fused-MBConv", conv: "convolution", identity: "identity", linear: "linear"};
const MOST_BOXES = 6;

function partText(part) {
  if (part.op === "linear") return `average, then ${part.width} classes`;
  const text = [`${part.depth > 1 ? `${part.depth} × ` : ""}${OPS[part.op] ?? part.op} ${part.kernel}×${part.kernel}`];
  if (part.expansion > 1) text.push(`expansion ${part.expansion}`);
  if (part.se_ratio) text.push(`SE ${part.se_ratio}`);
  text.push(`${part.width} wide`);
  if (part.stride > 1) text.push(`stride ${part.stride}`);
  return text.join(", ");
}

// A box a layer, its look by op, its height by its channels beside the widest part's (a square root).
function boxes(part, widest) {
  const shown = Math.min(part.depth, MOST_BOXES);
  const height = Math.max(4, 40 * Math.sqrt(part.width / widest));
  const picture = svg("svg", {width: shown * 24 + 2, height: 46, "aria-hidden": "true"});
  for (let number = 0; number < shown; number++) {
    const [x, y] = [1 + number * 24, 24 - height / 2];
    picture.append(svg("rect", {class: `box ${part.op}`, x, y, width: 20, height, rx: 2}));
    if (part.op === "mbconv") picture.append(svg("path", {class: "cross", d: `M${x},${y}l20,${height}m0,${-height}l-20,${height}`}));
    if (part.stride > 1 && number === 0) picture.append(svg("path", {class: "stride", d: `M${x},${y - 2}h20`}));
  }
  return picture;
}

function drawing(row, allParts, imageSize) {
  const parts = row.parts.map((number) => allParts[number]);
  const widest = Math.max(...parts.map((part) => part.op === "linear" ? 0 : part.width));
  const lines = parts.map((part) => el("tr", {},
    el("th", {scope: "row"}, /^\d+$/.test(part.part) ? `stage ${part.part}` : part.part),
    el("td", {class: "boxes"}, boxes(part.op === "linear" ? {...part, width: widest / 9} : part, widest)),
    el("td", {class: "text"}, partText(part)),
    el("td", {}, part.op === "linear" ? "–" : `${part.output_size}×${part.output_size}`),
    el("td", {}, short(part.params)), el("td", {}, short(part.macs))));
  const heads = ["part", "layers", "what each is", "output", "params", "MACs"];
  return el("div", {class: "scroll", tabindex: "0", role: "region", "aria-label": "drawing"}, el("table", {class: "drawing"},
    el("caption", {}, `From an image of ${imageSize}×${imageSize} pixels down to the classes`),
    el("thead", {}, el("tr", {}, ...heads.map((name) => el("th", {scope: "col"}, name)))), el("tbody", {}, ...lines)));
}

function opLegend() {
  const told = [["mbconv", "MBConv: depthwise"], ["fused_mbconv", "Fused-MBConv: one dense convolution"],
    ["conv", "plain convolution, linear"]];
  return el("ul", {class: "legend"}, ...told.map(([op, text]) => el("li", {}, boxes({op, depth: 1, width: 1, stride: 1}, 4), text)),
    el("li", {}, "A box is a layer, higher for more channels; a bar on top halves the image's sides."));
}

function trainedText(row, kind) {
  const trainings = row[`${kind}num_trainings`];
  return `${percent(row[`${kind}accuracy`])}, reward ${fourDigits(row[`${kind}reward`])}, of ${trainings} training${trainings === 1 ? "" : "s"}`;
}

function figures(row) {
  const judged = known(row.alone_accuracy) || known(row.inherited_accuracy);
  const list = [
    [row.bySupernet ? "accuracy by the supernet" : "accuracy", interval(row, "accuracy", percent)],
    ["training step", `${interval(row, "step_time_ratio", ratio)} of the reference network's`],
    ["parameters", grouped(row.params)],
    ["multiply-adds of an image", grouped(row.macs)],
    [row.bySupernet ? "reward by the supernet" : "reward", interval(row, "reward", fourDigits)],
  ];
  if (known(row.alone_accuracy)) list.push(["trained alone", `${trainedText(row, "alone_")}, P(best) ${chance(row.alone_p_best)}`]);
  if (known(row.inherited_accuracy)) list.push(["trained from its weights", trainedText(row, "inherited_")]);
  if (!judged) list.push(["confirmed", row.confirmed
    ? `by ${row.num_trainings} training${row.num_trainings === 1 ? "" : "s"}${row.tied ? ", tied with others" : ""}, P(best) ${chance(row.p_best)}`
    : "no: the figures are of one training"]);
  if (known(row.step_time_s)) list.push(["a step in milliseconds", `${(1e3 * row.step_time_s).toPrecision(3)}`
    + (known(row.step_time_reference_s) ? `, the reference network ${(1e3 * row.step_time_reference_s).toPrecision(3)}` : "")]);
  if (known(row.peak_memory_bytes)) list.push(["memory of a step", `${(row.peak_memory_bytes / 2 ** 20).toFixed(0)} MiB`]);
  if (known(row.max_batch_size)) list.push(["largest batch in memory", `${grouped(row.max_batch_size)} images`]);
  list.push(["the trial took", `${row.seconds.toFixed(1)} s`], ["key", `${row.key}…`]);
  return el("dl", {class: "numbers"}, ...list.map(([name, text]) => el("div", {}, el("dt", {}, name), el("dd", {}, text))));
}

function place(row) {
  const told = row.front ? "on the front" : "not on the front";
  return row.best ? `the best reward, ${told}` : told;
}

// Words are not broken at their hyphens: a line that ends on "--" is misread.
function command(text) {
  const words = text.split(" ").flatMap((word) => [" ", el("span", {class: "word"}, word)]);
  return el("code", {class: "command"}, ...words.slice(1));
}

function copying(code, told) {
  const said = el("span", {role: "status"});
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(code.textContent);
      said.textContent = "copied";
    } catch {
      getSelection().selectAllChildren(code);
      said.textContent = "selected: copy it with your browser";
    }
  };
  return el("span", {class: "copying"},
    el("button", {type: "button", "aria-label": `Copy: ${told}`, on: {click: copy}}, "Copy"), " ", said);
}

function showNetwork(host, row, {parts, imageSize, commands}, close) {
  const typed = commands.map(({told, before, after}) => {
    const code = command(`${before}${row.trial}${after}`);
    return el("li", {}, `${told} `, copying(code, told), code);
  });
  host.setAttribute("aria-label", `Network of trial ${row.trial}`);
  host.replaceChildren(
    el("h3", {}, `Trial ${row.trial}`, el("span", {class: "badge"}, place(row))),
    el("button", {type: "button", class: "close", on: {click: close}}, "Close"),
    el("p", {class: "short"}, el("code", {}, row.short)),
    figures(row), el("h4", {}, "Drawing"), drawing(row, parts, imageSize), opLegend(),
    el("h4", {}, "What to type next"), el("ul", {class: "commands"}, ...typed));
}
