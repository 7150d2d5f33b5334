// The table of all trials: sorts by a click on a heading, filters as one types, draws one page of rows.
// What is sorted and filtered by stands in the page's address, so that a page that reads itself anew keeps it.
(() => {
  const source = document.getElementById("data");
  if (!source) return;
  const PAGE = 25;
  const { columns, marks } = JSON.parse(source.textContent);
  const count = (columns[0].numbers || columns[0].places).length;
  const winner = new Set(marks.winner), front = new Set(marks.front);
  const table = document.getElementById("all"), form = document.querySelector(".filter");
  const pages = document.querySelector(".pages"), output = form.elements.count;
  const state = { sort: "", down: false, page: 0 };
  let rows = [...Array(count).keys()];

  const value = (column, row) => column.numbers ? column.numbers[row] : column.words[column.places[row]];
  const short = (number) => {
    for (const [unit, size] of [["E", 1e18], ["P", 1e15], ["T", 1e12], ["G", 1e9], ["M", 1e6], ["k", 1e3]])
      if (Math.abs(number) >= 0.9995 * size) return Number((number / size).toPrecision(3)) + unit;
    return String(Number(number.toPrecision(3)));
  };
  const text = (column, row) => {
    const it = value(column, row);
    if (it === null || it === undefined) return "–";
    if (typeof it !== "number") return String(it);
    const digits = column.digits ?? -2, error = column.errors?.[row];
    const around = error === null || error === undefined ? "" : ` ± ${error.toFixed(digits)}`;
    return digits >= 0 ? it.toFixed(digits) + around : digits === -1 ? short(it) : String(Number(it.toPrecision(6)));
  };
  const find = (name) => columns.find((each) => each.name === name || each.heading.toLowerCase().replaceAll(" ", "_") === name);
  const shown = () => columns.filter((each) => !each.decision || form.elements.decisions.checked);

  // A word of the filter: column>number, column=word, or text that any cell has.
  const test = (word) => {
    const parts = /^([^<>=!]+)(<=|>=|!=|<|>|=)(.*)$/.exec(word);
    if (!parts) return (row) => columns.some((each) => String(value(each, row) ?? "").toLowerCase().includes(word));
    const [, name, sign, given] = parts, column = find(name);
    if (!column) throw new Error(`no column ${name}; there are: ${columns.map((each) => each.name).join(", ")}`);
    const number = given === "" ? NaN : Number(given);
    return (row) => {
      const it = value(column, row);
      const same = typeof it === "number" ? it === number : String(it ?? "").toLowerCase() === given;
      if (sign === "=") return same;
      if (sign === "!=") return !same;
      if (typeof it !== "number") return false;
      return sign === "<" ? it < number : sign === ">" ? it > number : sign === "<=" ? it <= number : it >= number;
    };
  };

  const choose = () => {
    const words = form.elements.filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    try {
      const tests = words.map(test);
      if (form.elements.front.checked) tests.push((row) => front.has(row));
      rows = [...Array(count).keys()].filter((row) => tests.every((each) => each(row)));
      output.value = `${rows.length.toLocaleString("en")} of ${count.toLocaleString("en")} trials`;
    } catch (error) {
      rows = [];
      output.value = error.message;
    }
    const column = state.sort && find(state.sort);
    if (column) {
      const sign = state.down ? -1 : 1;
      rows.sort((a, b) => {
        const x = value(column, a) ?? null, y = value(column, b) ?? null;
        if (x === null || y === null) return (x === null) - (y === null) || a - b; // unknown ones last, either way
        return sign * (x < y ? -1 : x > y ? 1 : 0) || a - b;
      });
    }
  };

  const draw = () => {
    const wanted = shown(), last = Math.max(0, Math.ceil(rows.length / PAGE) - 1);
    state.page = Math.min(Math.max(state.page, 0), last);
    const head = document.createElement("tr"), body = document.createDocumentFragment();
    for (const column of wanted) {
      const cell = document.createElement("th"), button = document.createElement("button");
      const sorted = state.sort === column.name;
      cell.scope = "col";
      if (!column.numbers && !column.decision) cell.className = "word";
      cell.setAttribute("aria-sort", sorted ? (state.down ? "descending" : "ascending") : "none");
      button.type = "button";
      button.textContent = column.heading + (sorted ? (state.down ? " ↓" : " ↑") : "");
      button.title = column.about;
      button.dataset.sort = column.name;
      cell.append(button);
      head.append(cell);
    }
    for (const row of rows.slice(state.page * PAGE, (state.page + 1) * PAGE)) {
      const line = document.createElement("tr");
      wanted.forEach((column, place) => {
        const cell = document.createElement(place ? "td" : "th");
        cell.textContent = text(column, row) + (place ? "" : winner.has(row) ? " *" : front.has(row) ? " ○" : "");
        if (!column.numbers && !column.decision) cell.className = "word";
        line.append(cell);
      });
      body.append(line);
    }
    const focused = document.activeElement?.dataset?.sort;
    table.tHead.replaceChildren(head);
    table.tBodies[0].replaceChildren(body);
    if (focused) table.tHead.querySelector(`[data-sort="${focused}"]`)?.focus();
    pages.hidden = last === 0;
    pages.children[0].disabled = state.page === 0;
    pages.children[2].disabled = state.page === last;
    pages.children[1].textContent = `page ${state.page + 1} of ${last + 1}`;
    const words = new URLSearchParams();
    if (state.sort) words.set("sort", (state.down ? "-" : "") + state.sort);
    if (form.elements.filter.value) words.set("filter", form.elements.filter.value);
    for (const name of ["front", "decisions"]) if (form.elements[name].checked) words.set(name, "1");
    if (state.page) words.set("page", state.page + 1);
    if (String(words) || location.hash.includes("=")) history.replaceState(null, "", "#" + words);
  };

  const read = () => {
    const words = new URLSearchParams(location.hash.includes("=") ? location.hash.slice(1) : "");
    const sort = words.get("sort") || "";
    state.sort = sort.replace(/^-/, "");
    state.down = sort.startsWith("-");
    state.page = (Number(words.get("page")) || 1) - 1;
    form.elements.filter.value = words.get("filter") || "";
    for (const name of ["front", "decisions"]) form.elements[name].checked = words.has(name);
  };

  table.tHead.addEventListener("click", (event) => {
    const name = event.target.dataset.sort;
    if (!name) return;
    // Numbers begin with the greatest: that is the best of most.
    state.down = state.sort === name ? !state.down : Boolean(find(name).numbers) && name !== "trial_id";
    Object.assign(state, { sort: name, page: 0 });
    choose();
    draw();
  });
  pages.addEventListener("click", (event) => {
    if (!event.target.dataset.page) return;
    state.page += Number(event.target.dataset.page);
    draw();
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", () => {
    state.page = 0;
    choose();
    draw();
  });
  read();
  choose();
  draw();
})();
