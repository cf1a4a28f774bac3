const samReport = (() => {
  "use strict";
  const PAGE = 24, SVG = document.querySelector("#drawing svg").namespaceURI;
  const KINDS = ["automatic", "prompted", "failed"];
  const byId = (id) => document.getElementById(id);
  const form = byId("filter"), gallery = byId("gallery"), viewer = byId("viewer");
  const chunks = new Map(), waiting = new Map();
  let shown = [], page = 0;

  const make = (tag, attributes = {}, ...children) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  };
  const link = (name) => name.split("/").map(encodeURIComponent).join("/");
  const number = (value) => value.toLocaleString("en");
  const quartile = (share) => {
    const counts = ROWS.filter((row) => row[1] < 2).map((row) => row[2]).sort((a, b) => a - b);
    return counts.length ? counts[Math.round((counts.length - 1) * share)] : 0;
  };
  const few = quartile(0.25), many = quartile(0.75);
  for (const [value, text] of [["few", `few masks (${few} or fewer)`], ["many", `many masks (${many} or more)`]])
    form.elements.show.querySelector(`[value=${value}]`).textContent = text;

  const fits = (row) => {
    const text = form.elements.text.value.trim().toLowerCase();
    if (text && !row[0].toLowerCase().includes(text)) return false;
    const show = form.elements.show.value, done = row[1] < 2;
    if (show === "all") return true;
    if (show === "none") return done && row[2] === 0;
    if (show === "few") return done && row[2] <= few;
    if (show === "many") return done && row[2] >= many;
    return KINDS[row[1]] === show;
  };
  const orders = {
    name: (a, b) => a - b,
    most: (a, b) => ROWS[b][2] - ROWS[a][2] || a - b,
    fewest: (a, b) => ROWS[a][2] - ROWS[b][2] || a - b,
    slowest: (a, b) => ROWS[b][3] - ROWS[a][3] || a - b,
  };

  const detail = (index) => {
    const chunk = Math.floor(index / SETTINGS.chunk);
    const take = () => chunks.get(chunk)[index % SETTINGS.chunk];
    if (chunks.has(chunk)) return Promise.resolve(take());
    if (!waiting.has(chunk)) {
      waiting.set(chunk, new Promise((resolve, reject) => {
        const source = `${SETTINGS.data}/${String(chunk).padStart(5, "0")}.js`;
        const script = make("script", { src: source });
        script.onload = resolve;
        script.onerror = () => { waiting.delete(chunk); reject(new Error(`${source} is missing`)); };
        document.head.append(script);
      }));
    }
    return waiting.get(chunk).then(take);
  };

  const sources = (name, what) => {
    if (what.pictures) return what.pictures;
    const of = (index) => `segments/${link(name)}/${String(index).padStart(2, "0")}.png`;
    return [`overlays/${link(name)}.png`, of(0), ...what.masks.map((_, index) => of(index + 1))];
  };
  const outlines = (what) => {
    const svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("viewBox", `-0.5 -0.5 ${what.frame[0]} ${what.frame[1]}`);  // pixels' centres
    svg.setAttribute("aria-hidden", "true");
    what.paths.forEach((d, index) => {
      const path = document.createElementNS(SVG, "path");
      path.setAttribute("d", d);
      path.setAttribute("style", `--colour:rgb(${SETTINGS.colours[index]})`);
      svg.prepend(path);  // the best on top
    });
    return svg;
  };
  const outline = (svg, index) => svg.children[svg.children.length - 1 - index];
  const stack = (name, what, pictures) => {
    const picture = make("img", {
      loading: "lazy", src: pictures[1], alt: `${name}, original`,
      width: what.frame[0], height: what.frame[1],
    });
    return make("div", { class: "stack" }, picture, outlines(what));
  };

  const card = (index) => {
    const [name, kind, masks, seconds, reason] = ROWS[index];
    const article = make("article", { "data-kind": KINDS[kind] }, make("h2", {}, name));
    if (kind === 2) {
      article.classList.add("failed");
      article.append(make("p", {}, reason || "failed"));
      return article;
    }
    const about = make("p", {}, `${KINDS[kind]} · ${number(masks)} ${masks === 1 ? "mask" : "masks"} · ${seconds.toFixed(2)} s`);
    article.append(about);
    detail(index).then((what) => fill(article, name, what, about)).catch((error) => {
      article.append(make("p", { class: "none" }, error.message));
    });
    return article;
  };
  const fill = (article, name, what, about) => {
    about.prepend(`${what.size[0]} × ${what.size[1]} · `);
    const pictures = sources(name, what), first = stack(name, what, pictures);
    const toggles = make("div", { class: "toggles", role: "group", "aria-label": `Masks of ${name}` });
    const open = make("button", { type: "button", class: "open", "aria-label": `Enlarge ${name}` }, first);
    open.addEventListener("click", () => view(name, [...first.children].map((node) => node.cloneNode(true))));
    const svg = first.querySelector("svg");
    const buttons = what.masks.map(([iou, area], place) => {
      const button = make("button", {
        type: "button", "aria-pressed": "true",
        "aria-label": `Mask ${place + 1}, predicted IoU ${iou.toFixed(2)}, ${number(area)} pixels`,
      }, make("i", { style: `background:rgb(${SETTINGS.colours[place]})` }), iou.toFixed(2));
      button.addEventListener("click", () => press(button, outline(svg, place)));
      return button;
    });
    if (buttons.length > 1) {
      const all = make("button", { type: "button", "aria-pressed": "true" }, "all");
      all.addEventListener("click", () => {
        const wanted = all.getAttribute("aria-pressed") !== "true";
        all.setAttribute("aria-pressed", wanted);
        buttons.forEach((button, place) => press(button, outline(svg, place), wanted));
      });
      toggles.append(all);
    }
    toggles.append(...buttons);
    const overlay = make("img", { loading: "lazy", src: pictures[0], alt: `${name}, all masks` });
    overlay.width = what.frame[0]; overlay.height = what.frame[1];
    const large = make("button", { type: "button", class: "open", "aria-label": `Enlarge all masks of ${name}` }, overlay);
    large.addEventListener("click", () => view(`${name}: all masks`, [overlay.cloneNode()]));
    article.append(make("div", { class: "pair" },
      make("figure", {}, open, make("figcaption", {}, "best masks")),
      make("figure", {}, large, make("figcaption", {}, "all masks"))));
    if (!what.masks.length) {
      article.append(make("p", { class: "none" }, "No mask passed the thresholds."));
      return;
    }
    const strip = make("div", { class: "segments" });
    what.masks.forEach(([iou, area], place) => {
      const image = make("img", { loading: "lazy", src: pictures[place + 2], alt: `${name}, segment ${place + 1}` });
      image.width = what.frame[0]; image.height = what.frame[1];
      const button = make("button", { type: "button", class: "open", "aria-label": `Enlarge segment ${place + 1} of ${name}` }, image);
      button.addEventListener("click", () => view(`${name}: segment ${place + 1}`, [image.cloneNode()]));
      strip.append(make("figure", {}, button, make("figcaption", {}, `${iou.toFixed(2)} · ${number(area)} px`)));
    });
    article.append(toggles, strip);
  };
  const press = (button, path, wanted = button.getAttribute("aria-pressed") !== "true") => {
    button.setAttribute("aria-pressed", wanted);
    if (path) path.toggleAttribute("hidden", !wanted);
  };

  let zoom = 1, fit = 1;
  const canvas = viewer.querySelector(".canvas"), maskButton = viewer.querySelector("[data-masks]");
  const zoomTo = (value) => {
    zoom = Math.min(Math.max(value, 1), 12);
    if (canvas.firstChild) canvas.firstChild.style.width = `${zoom * fit * 100}%`;
  };
  const view = (title, nodes) => {
    byId("viewer-title").textContent = title;
    canvas.replaceChildren(make("div", { class: "stack" }, ...nodes));
    maskButton.hidden = nodes.length < 2;
    maskButton.setAttribute("aria-pressed", "true");
    viewer.showModal();
    const picture = canvas.querySelector("img");
    const ratio = picture.getAttribute("width") / picture.getAttribute("height");
    fit = Math.min(1, (canvas.clientHeight * ratio) / canvas.clientWidth);
    zoomTo(1);
  };
  viewer.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) { if (event.target === viewer) viewer.close(); return; }
    if ("close" in button.dataset) viewer.close();
    if (button.dataset.zoom) zoomTo(zoom * button.dataset.zoom);
    if ("masks" in button.dataset) press(button, canvas.querySelector("svg"));
  });
  viewer.addEventListener("keydown", (event) => {
    if (event.key === "+" || event.key === "=") zoomTo(zoom * 1.25);
    if (event.key === "-") zoomTo(zoom * 0.8);
  });
  canvas.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && zoom === 1 && event.deltaY > 0) return;
    event.preventDefault();
    zoomTo(zoom * (event.deltaY < 0 ? 1.1 : 0.9));
  }, { passive: false });

  const draw = () => {
    const pages = Math.max(Math.ceil(shown.length / PAGE), 1);
    page = Math.min(Math.max(page, 0), pages - 1);
    gallery.replaceChildren(...shown.slice(page * PAGE, (page + 1) * PAGE).map(card));
    byId("nothing").hidden = shown.length > 0;
    for (const pager of document.querySelectorAll(".pager")) {
      pager.hidden = pages === 1;
      pager.querySelector("span").textContent = `page ${page + 1} of ${number(pages)}, ${number(shown.length)} images`;
      const [back, next] = pager.querySelectorAll("button");
      back.disabled = page === 0;
      next.disabled = page === pages - 1;
    }
  };
  const apply = () => {
    shown = [];
    for (let index = 0; index < ROWS.length; index++) if (fits(ROWS[index])) shown.push(index);
    shown.sort(orders[form.elements.order.value]);
    draw();
  };
  // What is looked at is in the address, so that it can be kept and sent.
  const remember = () => {
    const state = new URLSearchParams();
    for (const name of ["text", "show", "order"]) {
      const value = form.elements[name].value;
      if (value && value !== "all" && value !== "name") state.set(name, value);
    }
    if (page) state.set("page", page + 1);
    history.replaceState(null, "", `#${state}`);
  };
  const recall = () => {
    const state = new URLSearchParams(location.hash.slice(1));
    form.elements.text.value = state.get("text") || "";
    form.elements.show.value = state.get("show") || "all";
    form.elements.order.value = state.get("order") || "name";
    page = Number(state.get("page") || 1) - 1;
    apply();
  };
  form.addEventListener("input", () => { page = 0; apply(); remember(); });
  form.addEventListener("submit", (event) => event.preventDefault());
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-turn]");
    if (!button) return;
    page += Number(button.dataset.turn);
    draw();
    remember();
    if (button.closest(".pager").getAttribute("aria-label") !== "Pages") gallery.scrollIntoView();
  });
  window.addEventListener("hashchange", recall);
  // The embedded chunks follow this script; they are there when the page is complete.
  document.addEventListener("DOMContentLoaded", recall);
  return (chunk, images) => { chunks.set(chunk, images); };
})();
