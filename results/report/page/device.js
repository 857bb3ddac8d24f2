// What was found on one device: the front, a network, the table, the reward over trials and time, predictions.

const LOOKS = {
  best: {shape: "star", look: "is-best", told: "best reward"},
  front: {shape: "diamond", look: "is-front", told: "on the front"},
  confirmed: {shape: "triangle", look: "is-confirmed", told: "confirmed, dominated"},
  other: {shape: "circle", look: "is-other", told: "dominated"},
};

function axis(name, field, format, log) {
  return {name, log, format, tick: format === percent ? percentTick : format, value: (row) => row[field], low: (row) => row.bars ? row[`${field}_low`] : null,
    high: (row) => row.bars ? row[`${field}_high`] : null};
}

function lookOf(row) {
  const confirmed = row.confirmed || row.alone_confirmed;
  return row.best ? "best" : row.front ? "front" : confirmed ? "confirmed" : "other";
}

function networkTip(row) {
  const by = row.bySupernet ? " by the supernet" : "";
  const lines = [`trial ${row.trial}, ${place(row)}`, `accuracy${by} ${interval(row, "accuracy", percent)}`,
    `step ${interval(row, "step_time_ratio", ratio)}, ${short(row.params)} params`, `reward${by} ${interval(row, "reward", fourDigits)}`];
  if (known(row.alone_accuracy)) lines.push(`trained alone ${percent(row.alone_accuracy)}`);
  return lines;
}

function frontChart(host, rows, opens, open) {
  const by = rows.some((row) => row.bySupernet) ? " by the supernet" : "";
  const usual = [axis(`accuracy${by}`, "accuracy", percent), axis(`reward${by}`, "reward", short)];
  const alone = [axis("accuracy, trained alone", "alone_accuracy", percent), axis("reward, trained alone", "alone_reward", short)];
  const ys = rows.some((row) => known(row.alone_accuracy)) ? [...usual, ...alone] : usual;
  const xs = [axis("step time (× the reference network's)", "step_time_ratio", short, true),
    axis("parameters", "params", short, true), axis("multiply-adds", "macs", short, true)];
  const kinds = rows.map(lookOf);
  const order = ["other", "confirmed", "front", "best"];
  const points = rows.map((row, number) => Object.assign(row, LOOKS[kinds[number]],
    {isMain: row.front || row.best, bars: kinds[number] !== "other"}))
    .sort((a, b) => order.indexOf(lookOf(a)) - order.indexOf(lookOf(b)) || b.accuracy - a.accuracy);
  const spec = {label: "Networks", x: xs[0], y: ys[0], points, tip: networkTip, isReached: (row) => row.isMain, open, opens};
  const picture = el("div", {class: "picture"});
  host.replaceChildren(el("div", {class: "controls"},
    chooser("up:", ys, (y) => chart.update({...chart.spec, y})), chooser("across:", xs, (x) => chart.update({...chart.spec, x}))),
  picture, legend(Object.entries(LOOKS).filter(([kind]) => kinds.includes(kind)).map(([, look]) => look)),
  el("p", {class: "hint"}, "Bars are 95 % intervals. The front weighs three things at once: what seems dominated in "
    + "two of them may be better in the third."));
  const chart = new Chart(picture, spec);
  return chart;
}

const column = (name, title, field, format, more = {}) => ({name, title, value: (row) => row[field],
  text: (row) => known(row[field]) ? format(row[field], row) : "–", ...more});

function tableColumns(rows) {
  const some = (field) => rows.some((row) => known(row[field]));
  const bySupernet = rows.some((row) => row.bySupernet);
  const kind = some("alone_accuracy") ? "alone_" : "";
  const columns = [
    column("trial", "number of its first trial", "trial", String),
    column("place", "best reward, on the front, or dominated", "place", String,
      {value: (row) => row.best ? 2 : Number(row.front)}),
    column(bySupernet ? "by the supernet" : "accuracy", "share of the held-out images that it tells rightly",
      "accuracy", (_, row) => interval(row, "accuracy", percent)),
    column("trained alone", "accuracy after trainings of its own", "alone_accuracy", percent),
    column("from its weights", "accuracy after trainings from the supernet's weights", "inherited_accuracy", percent),
    column("step time", "of the reference network's", "step_time_ratio", ratio),
    column("params", "trainable parameters", "params", grouped),
    column("MACs", "multiply-adds of one image", "macs", short),
    ...kind ? [column("supernet's reward", "reward by the supernet's accuracy", "reward", fourDigits)] : [],
    column(kind ? "reward alone" : "reward", "what the search maximised", `${kind}reward`, fourDigits),
    column("trainings", "how many confirm it", `${kind}num_trainings`,
      (count, row) => row[`${kind}confirmed`] ? `${count} ×` : "–", {value: (row) => row[`${kind}confirmed`] ? row[`${kind}num_trainings`] : null}),
    column("P(best)", "probability of the highest mean reward", `${kind}p_best`, chance),
    column("network", "op, kernel, expansion - width x layers", "short", String, {isText: true}),
  ];
  const optional = ["alone_accuracy", "inherited_accuracy"];
  const asked = {"trained alone": optional[0], "from its weights": optional[1], "P(best)": `${kind}p_best`};
  return columns.filter(({name}) => !(name in asked) || some(asked[name]));
}

function progressChart(host, trials) {
  const kinds = {
    own: {shape: "circle", look: "is-other", told: "a training"},
    supernet: {shape: "circle", look: "is-other", told: "by the supernet"},
    again: {shape: "triangle", look: "is-confirmed", told: "trained again to confirm"},
    alone: {shape: "triangle", look: "is-confirmed", told: "trained alone"},
    inherited: {shape: "square", look: "is-confirmed", told: "trained from the supernet's weights"},
  };
  const judged = trials.some(({weights}) => weights === "supernet");
  const first = judged ? "supernet" : trials.some(({weights, repeat}) => weights === "own" && !repeat) ? "own" : "inherited";
  const kindOf = ({weights, repeat}) => judged && weights === "own" ? "alone" : !judged && repeat ? "again" : weights;
  const points = trials.map((trial) => ({...trial, ...kinds[kindOf(trial)]}));
  const best = (ordered) => ordered.filter((trial) => kindOf(trial) === first && trial.allowed).reduce((line, trial) => {
    const high = line.length ? line[line.length - 1] : null;
    if (high && trial.reward <= high.reward) return line;
    return [...line, ...(high ? [{...high, trial: trial.trial, ended_s: trial.ended_s}] : []), trial];
  }, []);
  const xs = [{name: "trial", value: ({trial}) => trial, format: grouped, field: "trial", isWhole: true},
    {name: "minutes", value: ({ended_s}) => ended_s / 60, format: short, field: "ended_s"}];
  const y = {name: "reward", value: ({reward}) => reward, format: short};
  const drawn = (x) => {
    const ordered = [...points].sort((a, b) => a[x.field] - b[x.field]);
    const line = best(ordered);
    const last = ordered[ordered.length - 1];
    return {label: "Reward", height: 300, x, y, points: ordered, line: line.length ? [...line, {...last, reward: line[line.length - 1].reward}] : null,
      tip: (trial) => [`trial ${trial.trial}, ${trial.told}`, `reward ${fourDigits(trial.reward)}, after ${short(trial.ended_s / 60)} min`]};
  };
  const picture = el("div", {class: "picture"});
  const used = new Set(trials.map(kindOf));
  host.replaceChildren(el("div", {class: "controls"}, chooser("across:", xs, (x) => chart.update(drawn(x)))), picture,
    legend(Object.entries(kinds).filter(([kind]) => used.has(kind)).map(([, look]) => look)),
    el("p", {class: "hint"}, judged
      ? "The line is the best so far by the supernet, within the limits. Rewards of trainings are another measure: that they lie "
        + "higher or lower does not say that the search was wrong."
      : "The line is the best so far within the limits. Single trainings that look best are too high on average: that is "
        + "why the best are trained again."));
  const chart = new Chart(picture, drawn(xs[0]));
}

function predictedChart(host, trials) {
  const points = trials.filter((trial) => known(trial.step_time_predicted)).map((trial) => ({...trial, ...LOOKS.other}));
  new Chart(host, {label: "Step times", height: 420, diagonal: true, points,
    x: {name: "predicted (× the reference network's)", value: (trial) => trial.step_time_predicted, format: short, log: true},
    y: {name: "measured", value: (trial) => trial.step_time_ratio, format: short, log: true},
    tip: (trial) => [`trial ${trial.trial}`, `predicted ${ratio(trial.step_time_predicted)}`, `measured ${ratio(trial.step_time_ratio)}`]});
}

function showNetworks(at, rows, shared) {
  const panel = at("network");
  let back = null;
  const close = () => {
    const isInside = panel.contains(document.activeElement);
    panel.replaceChildren(el("p", {class: "empty"}, "No network is open."));
    panel.setAttribute("aria-label", "No network");
    [chart, table].forEach((one) => one.select(null));
    if (isInside) back();
  };
  const open = (row, from) => {
    back = () => from.focus(row.trial);
    showNetwork(panel, row, shared, close);
    [chart, table].forEach((one) => one.select(row.trial));
  };
  const chart = frontChart(at("front"), rows, panel.id, (row) => open(row, chart));
  const columns = tableColumns(rows);
  const table = new SortedTable(at("networks"), {columns, label: "networks", opens: panel.id,
    rows: [...rows].sort((a, b) => b.reward - a.reward || a.trial - b.trial),
    sortedBy: columns.find(({name}) => name.startsWith("reward")),
    open: (row) => {
      open(row, table);
      panel.scrollIntoView({block: "start"});
      panel.focus({preventScroll: true});
    }});
  for (const host of [at("front"), panel, at("networks")]) host.addEventListener("keydown", ({key, target}) => {
    if (key === "Escape" && !target.matches("input, select")) close();
  });
  open(rows.find((row) => row.best) ?? rows[0], chart);
}

function showDevice(host, device, shared) {
  const trials = unpacked(device.trials);
  const bySupernet = trials.some(({weights}) => weights === "supernet");
  const rows = unpacked(device.networks).map((row) => Object.assign(row, {bySupernet}));
  for (const row of rows) {
    row.place = row.best ? "best" : row.front ? "front" : "–";
    row.searched = `trial ${row.trial} ${row.place} ${row.confirmed || row.alone_confirmed ? "confirmed" : ""} ${row.tied || row.alone_tied ? "tied" : ""} ${row.short}`.toLowerCase();
  }
  const at = (name) => host.querySelector(`.${name}`);
  if (rows.length) showNetworks(at, rows, shared);
  progressChart(at("progress"), trials);
  if (at("predicted")) predictedChart(at("predicted"), trials);
}
