/**
 * @file The script of the web pixel. Served without comments and indentation at /s/<hash>.js (audience/pixel/script.py).
 *
 * Each tab keeps the messages that the server has not confirmed in its own entry of localStorage. An entry whose lease
 * has ended, or that its page released when it was closed, is adopted by the next page. A message may therefore be sent
 * again; the server recognizes it by its messageId.
 *
 * @typedef {"none" | "anonymous" | "full"} Level
 * @typedef {{key: string, consent?: string, banner?: string, pages?: string, links?: string, hash?: string,
 *   params?: string, domains?: string}} Config `consent`: a Level, "wait", or names of frameworks: "google", "tcf", "gpp".
 *   `pages` and `links`: "0" disables automatic page views and outbound links. `hash`: "1" if the site routes by the
 *   fragment. `params`: more URL parameters to keep, separated by "|" (without any, one named "undefined" is).
 *   `domains`: hosts that receive the visitor's id with a link, separated by commas.
 * @typedef {{messageId: string, type: string, originalTimestamp: string, context: Object<string, any>, event?: string,
 *   userId?: string, anonymousId?: string, consentLevel?: Level, traits?: Object, properties?: Object}} Message
 */
((w, d, n) => {
  const script = d.currentScript, early = w.afterclick || {}
  if (early.on) return
  /** @type {Config} */
  const config = Object.assign({}, script.dataset, early.c)
  const host = script.src.replace(/\/s\/[^/]*$/, ""),
    proxied = (host + "/").startsWith(location.origin + "/")
  const LEVELS = ["none", "anonymous", "full"]
  const MAX_QUEUED = 500
  const KEPT = RegExp(
    "^((tt|fb|g|d|tw|q)clid|rdt_cid|msclkid|[gw]braid|sccid|epik|li_fat_id|irclickid|oppref|aleid|alart|tblci|dicbo|" +
      "cjevent|utm_\\w+|referral_code|gad_(source|campaignid)|" +
      "(campaign|ad_?group|adset|ad|aid|cid|creative)_(name|id)|" + config.params + ")$", "i")
  const COOKIES = /^_(fb[cp]|ttp|rdt_uuid|sc(cl)?id|twclid|epik|uetmsclkid|gcl_a[wg]|gcl_gb|axwrt)$/
  const now = Date.now, today = new Date().toDateString()
  const on = (target, name, act) => target.addEventListener(name, act, true)
  // crypto.randomUUID exists on https only. The address of a blob ends with a UUID too.
  const uuid = () => crypto.randomUUID?.() || URL.createObjectURL(new Blob()).slice(-36)

  // Storage.

  const memory = {} // used where localStorage throws: it is blocked, or full
  /** Reads `name`, or writes `value` (null deletes). Returns the value, or null. */
  const store = (name, value) => {
    if (value !== undefined) memory[name] = null
    try {
      if (value) localStorage.setItem(name, value)
      else if (value === null) localStorage.removeItem(name)
      return memory[name] || localStorage.getItem(name)
    } catch (e) {
      return (memory[name] = value || memory[name])
    }
  }
  /** All cookies by name, as they are written. */
  const cookies = () => Object.fromEntries(d.cookie.split("; ").map((pair) => pair.split(/=(.*)/)))
  /** Writes the cookie with the id, for 400 days, the longest that browsers allow; "" deletes it. */
  const writeId = (value) => {
    d.cookie = "ac_id=" + value + ";path=/;max-age=" + (value ? 3456e4 : 0) + ";samesite=lax" +
      (location.protocol === "https:" ? ";secure" : "")
  }

  // Identity.

  let id = cookies().ac_id || "",
    asked, // whether the search for the id has begun
    token = "" // states the id that this visitor has on another domain of the studio

  /** The id that another pixel gave to this browser, so that a switch keeps its visitors; "" without one. */
  const adopted = () => {
    for (const name of ["imtbl_anon_id", "rl_anonymous_id", "ajs_anonymous_id"]) {
      try {
        let value = decodeURIComponent(cookies()[name] || store(name) || "")
        if (value.startsWith("RS_ENC_v3_")) value = atob(value.slice(10))
        value = value.replace(/"/g, "")
        if (/^[\w.-]{8,128}$/.test(value)) return value
      } catch (e) {}
    }
  }
  /**
   * Lets the server set the cookies of the id, which browsers keep longer than those of scripts. "ac_day" is the day on
   * which it last did, 1 if it has to delete them still.
   * @param {string} value "" deletes the cookies. The id of a valid token takes precedence.
   * @param {unknown} known Whether `value` replaces the id in the cookie that only the server reads.
   */
  const serverId = (value, known) => {
    if (!value) store("ac_day", 1)
    return fetch(host + "/s/id", {
      method: "POST", keepalive: true, headers: { "X-Requested-With": "afterclick" },
      body: new URLSearchParams({ id: value, known: known || "", key: config.key, token }),
    }).then((answer) => answer.json()).then(({ id }) => {
      store("ac_day", id ? today : null)
      return id
    }).catch(() => {})
  }
  /** Sets the id unless consent was withdrawn since it was asked for. */
  const setId = (value) => {
    // The cookie of the server is not replaced: browsers keep it longer than one of a script.
    if (asked && !id && cookies().ac_id !== (id = value)) writeId(id)
    flush()
  }
  /** Sets the id of this browser, a new one if it has none. */
  const findId = () => {
    if (asked) return flush()
    asked = true
    const value = id || adopted() || uuid(), day = store("ac_day")
    let known = id || day > 0
    if (token) known = id = ""
    else if (id && day === today) return flush()
    if (known || !proxied) setId(value)
    if (!proxied) return writeId(id) // Safari keeps it for 7 days
    serverId(value, known).then((found) => {
      token = ""
      // If the consent was withdrawn meanwhile, this answer has set the cookies.
      asked ? setId(found || value) : serverId("", 1)
    })
    setTimeout(setId, 2e3, value)
  }

  // Addresses.

  /** The pieces of a query whose names are in the list, unchanged. */
  const pick = (query) => query.split(/[?&#]/).filter((piece) => KEPT.test(piece.split("=")[0])).join("&")
  /** A URL without the parameters that are not in the list, which may contain personal data. */
  const clean = (url) => {
    if (!url) return url
    const all = new URL(url, location), query = pick(all.search), kept = pick(all.hash)
    const hash = (config.hash ? all.hash.split("?")[0] : "") + (kept && "#" + kept)
    return all.protocol + "//" + all.host + all.pathname.replace(/[^/]+(@|%40)[^/]+/g, "-") + (query && "?" + query) + hash
  }

  // The queue of this tab: messages that the server has not confirmed.

  const mine = "ac_q." + uuid()
  /** @type {Message[]} */
  let queue = []
  const sending = new Set()
  let saved = 0, // messages at the start of the queue that are in localStorage
    fails = 0,
    notBefore = 0,
    timer,
    left, // whether the page was left, so that another one may adopt the messages at once
    free // whether messages of closed pages were adopted, with the time until which the server does not want any

  const save = () => {
    // 13 digits at the start, which adopt() reads without parsing the rest. The lease of 300,000 ms is longer than a
    // background tab waits between two attempts.
    const entry = { t: left ? 1e12 : now() + 3e5, w: notBefore, e: queue }
    if (queue[0] || saved) store(mine, queue[0] ? JSON.stringify(entry) : null)
    saved = queue.length
  }
  /** Takes over the messages of pages that were closed. */
  const adopt = () => {
    try {
      for (const name of Object.keys(localStorage)) {
        const text = /^ac_q/.test(name) && name !== mine && store(name)
        // After a withdrawal also those of pages that are open, which forget theirs too.
        if (!text || (level !== "none" && text.slice(5, 18) > now())) continue
        store(name, null)
        const { w, e } = JSON.parse(text)
        notBefore = Math.max(notBefore, Math.min(w, now() + 36e5))
        queue = e.filter((one) => level !== "none" || one.consentLevel === level).concat(queue)
      }
    } catch (e) {}
    free = true
    wake(0)
  }
  const wake = (ms) => {
    clearTimeout(timer)
    timer = setTimeout(() => {
      save()
      send()
    }, ms)
  }
  const done = (batch) => {
    queue = queue.filter((one) => !batch.includes(one))
    fails = notBefore = 0
    save()
    send()
  }
  const retry = (after) => {
    const stated = after > 0 ? after * 1e3 : Date.parse(after) - now()
    const wait = stated > 0 ? Math.min(stated, 36e5) : Math.min(6e4, 1e3 << fails) * (0.75 + Math.random() / 2)
    fails = Math.min(fails + 1, 9)
    notBefore = now() + wait
    wake(wait)
  }
  /** Sends the next batch; all of them while the page is `closing`. */
  const send = (closing) => {
    // Another tab adopted the entry while this one was frozen.
    if (saved && !store(mine)) queue.splice(0, saved)
    const wait = notBefore - now()
    if (wait > 0) return closing || wake(wait)
    if ((sending.size || !free) && !closing) return
    let size = 500
    const batch = []
    for (const one of queue) {
      if (sending.has(one)) continue
      size += new Blob([JSON.stringify(one)]).size
      // Two requests fit into the 64 KiB that a browser sends for closed pages.
      if (batch[0] && size > 28e3) break
      batch.push(one)
      sending.add(one)
    }
    if (!batch[0]) return
    const settle = (act, value) => {
      batch.forEach((one) => sending.delete(one))
      act(value)
    }
    // A body as text is sent as text/plain, for which there is no preflight request.
    fetch(host + "/beacon/v1/batch?writeKey=" + config.key, {
      method: "POST", keepalive: closing || !fails, credentials: "omit",
      body: JSON.stringify({
        sentAt: new Date(), batch,
        context: {
          library: { name: "afterclick-web", version: "1" }, locale: n.language,
          screen: { width: screen.width, height: screen.height },
        },
      }),
    }).then(({ status, headers }) =>
      /^(5|408|429)/.test(status) ? settle(retry, headers.get("Retry-After")) : settle(done, batch), () => settle(retry))
    if (closing) send(closing)
  }

  // Messages.

  /** @type {Level | undefined} Undefined until it is decided; until then messages wait in memory. */
  let level
  /** What the consent framework stated, sent with each message. */
  const evidence = {}
  /** @type {Message[]} */
  let pending = []
  /** @type {{userId: string, traits?: Object} | null | undefined} The visitor whom the page has identified. */
  let person

  const message = (type, fields) => ({ messageId: uuid(), type, originalTimestamp: new Date(), ...fields })
  const add = (type, fields) => {
    if (level === "none" || pending.length >= MAX_QUEUED) return
    const page = { url: clean(current), referrer: clean(previous), title: d.title }
    pending.push(message(type, { ...fields, context: { page } }))
    flush()
  }
  /** Moves the messages that wait for consent and for the id into the queue. */
  const flush = () => {
    if (!id || !level) return
    id = cookies().ac_id || id // after a reset in another tab
    const full = level === "full"
    for (const one of pending.splice(0)) {
      if (one.type === "identify") {
        if (!full) continue
        store("ac_user", one.userId)
      }
      if (one.type === "reset") {
        store("ac_user", null)
        writeId(id = uuid())
        if (proxied) serverId(id, 1)
        continue
      }
      one.anonymousId = id
      one.consentLevel = level
      one.context.consent = { ...evidence }
      if (full) {
        one.userId = store("ac_user")
        one.context.cookies = Object.fromEntries(Object.entries(cookies()).filter(([name]) => COOKIES.test(name)))
      }
      if (queue.length < MAX_QUEUED) queue.push(one)
    }
    if (queue[0]) wake(20)
  }
  const track = (event, properties) => add("track", { event: event + "", properties })

  // Consent.

  /** @type {Level | undefined} The level that the page stated. */
  let manual
  /** @type {Object<string, Level | undefined>} What each framework allows; undefined until it is ready. */
  const stated = {}
  const lowest = (levels) => LEVELS.find((one) => levels.includes(one))

  const decide = () => {
    let next = manual
    if (!next) {
      const levels = Object.values(stated)
      if (levels.includes(undefined)) return
      next = lowest(levels[0] ? levels : [config.consent])
      if (next && evidence.limited_data_use) next = lowest([next, "anonymous"])
    }
    if (!next || next === level) return
    const was = level, before = was || store("ac_level")
    level = next
    if (!was || level === "none") n.locks ? n.locks.request("ac_q", adopt).catch(adopt) : adopt()
    if (level === "none") return withdraw()
    store("ac_level", level)
    if (level !== "full") store("ac_user", null)
    if (was === "none") page()
    else if (before && before !== level) track("consent_changed", { from: before, to: level })
    // A lower level has left out who the visitor is.
    if (was && person) add("identify", person)
    findId()
  }
  /** Deletes everything that is stored. */
  const forget = () => {
    level = "none"
    pending = []
    queue = []
    writeId("")
    store("ac_user", null)
    store("ac_level", null)
    id = asked = ""
    save()
  }
  /** Forgets the visitor, and sends the withdrawal if there was one. */
  const withdraw = () => {
    const anonymousId = id
    forget()
    // Again if the server was not available on an earlier page.
    if (proxied && (anonymousId || store("ac_day") > 0)) serverId("", 1)
    if (!anonymousId) return
    queue = [message("track", {
      event: "consent_changed", properties: { to: level }, anonymousId, consentLevel: level,
      context: { consent: evidence },
    })]
    wake(0)
  }
  /** Adds a listener to the framework whose global function is `name`, once that exists, within a minute. */
  const listen = (tries, name, ...values) =>
    w[name] ? w[name]("addEventListener", ...values) : tries && setTimeout(listen, 100, tries - 1, name, ...values)
  const state = (name, storage, data, more) => {
    Object.assign(evidence, more)
    stated[name] = storage ? (data ? "full" : "anonymous") : "none"
    decide()
  }

  const readers = {
    /** Google Consent Mode v2: `dataLayer` has arrays, and the `arguments` objects of gtag(). */
    google() {
      const values = {}
      let ready, waiting
      const apply = () => {
        // A default denial is no decision: the visitor has not been asked, or the banner has not loaded.
        if (!ready || !values.ad_storage) return
        const { ad_user_data, ad_personalization } = values
        state("google", values.ad_storage === "granted", ad_user_data !== "denied", { ad_user_data, ad_personalization })
      }
      const read = (entry) => {
        if (!entry || entry[0] !== "consent") return
        const update = entry[1] === "update"
        const given = entry[2] || {}
        for (const [name, value] of Object.entries(given)) {
          // Which region's default applies is unknown here: a denial in any of them counts.
          if (update || ready === 1 || values[name] !== "denied") values[name] = value
        }
        if (update) ready = 1
        else if (!ready) {
          clearTimeout(waiting)
          waiting = setTimeout(() => {
            ready = ready || (values.ad_storage === "granted" && 2)
            apply()
          }, given.wait_for_update)
        }
        apply()
      }
      const layer = (w.dataLayer = w.dataLayer || []), push = layer.push
      layer.push = function (...entries) {
        entries.forEach(read)
        return push.apply(this, entries)
      }
      layer.forEach(read)
    },
    /** IAB TCF 2.2. The purposes are mapped to ad_storage (1) and ad_user_data (1, 7) as Google does. */
    tcf() {
      const read = (tc, ok) => {
        const free = tc?.gdprApplies === false
        if (!ok || !(free || /^(tcloaded|user)/.test(tc.eventStatus))) return
        const consents = tc.purpose?.consents || {}
        state("tcf", free || consents[1], free || consents[7], { tcf: tc.tcString, gdpr: !free })
      }
      listen(600, "__tcfapi", 2, read)
    },
    /** IAB GPP, the sections of the US: an opt-out of sale, sharing or targeted advertising. */
    gpp() {
      const read = ({ pingData: ping }) => {
        if (ping?.signalStatus !== "ready") return
        const sections = Object.entries(ping.parsedSections).filter(([name]) => name.startsWith("us"))
        const out = sections.flatMap(([, parts]) => parts).some(
          (one) => one.Gpc || [one.SaleOptOut, one.SharingOptOut, one.TargetedAdvertisingOptOut].includes(1))
        const gpp_sid = ping.applicableSections.join("_")
        state("gpp", 1, 1, { gpp: ping.gppString, gpp_sid, limited_data_use: out || evidence.gpc })
      }
      listen(600, "__gpp", read)
    },
  }

  // Page views, links, buttons and forms.

  let current = early.u || location.href,
    previous = d.referrer,
    seen

  /** The path of a URL, with its fragment if the site routes by it; the parameters that are kept; path and query. */
  const parts = (url) => {
    const all = new URL(url, location), path = all.pathname + (config.hash ? all.hash : "")
    return [path, pick(all.search), path + all.search]
  }
  const page = (name, properties) => add("page", { name, properties })
  /** Sends a page view if the URL is that of another page. */
  const moved = (replaced) => {
    const url = location.href
    const [path, kept, whole] = parts(url)
    const [oldPath, oldKept] = parts(current)
    if (seen === whole) return
    seen = whole
    // A router that removes parameters by replaceState shows no other page.
    if (replaced && path === oldPath && (!kept || kept === oldKept)) return
    previous = current
    current = url
    page()
  }
  const watch = () => {
    seen = parts(current)[2]
    page()
    moved(1)
    if (w.navigation) {
      on(w.navigation, "currententrychange", (e) => setTimeout(moved, 0, e.navigationType === "replace"))
      return
    }
    for (const name of ["pushState", "replaceState"]) {
      const original = history[name]
      history[name] = function (...values) {
        original.apply(this, values)
        setTimeout(moved, 0, name > "q")
      }
    }
    for (const name of ["popstate", "hashchange"]) on(w, name, () => setTimeout(moved))
  }
  const clicked = ({ target, type, button }) => {
    if (!target.closest || button > 1) return // a menu opens
    const named = target.closest("[data-ac]:not(form)")
    const link = target.closest("a[href]")
    if (named && type === "click") track(named.dataset.ac, { element: named.localName })
    if (!link || !/^http/.test(link.protocol) || link.host === location.host) return
    if (config.links !== "0") track("outbound_link_clicked", { host: link.host, path: link.pathname })
    // The server redirects to the link, with a token for the id.
    if (proxied && id && level && (config.domains || "").split(",").includes(link.host))
      link.href = host + "/s/to?" + new URLSearchParams({ key: config.key, to: link.href })
  }

  const api = {
    page,
    track,
    identify: (userId, traits) => userId && add("identify", (person = { userId: userId + "", traits })),
    consent(value, more) {
      if (!LEVELS.includes(value)) return
      Object.assign(evidence, { source: "page" }, more)
      manual = value
      decide()
    },
    /** Starts a new visitor, for the next person at this browser. */
    reset() {
      flush()
      store("ac_user", (person = null))
      add("reset") // in its order, since the id may not be known yet
    },
  }
  const call = (name, ...values) => api[name]?.(...values)

  const start = () => {
    const wanted = Object.keys(readers).filter((name) => config.consent?.includes(name))
    evidence.source = wanted.join("+") || "configuration"
    evidence.banner = config.banner
    if (n.globalPrivacyControl) evidence.gpc = evidence.limited_data_use = true
    const part = /([?&])ac_aid=([^&#]*)&?/
    const [, , found] = part.exec(current) || []
    if (found) {
      token = found
      history.replaceState(history.state, "", location.href.replace(part, "$1").replace(/[?&](?=#|$)/, ""))
    }
    if (config.pages !== "0") watch()
    for (const name of wanted) stated[name] = undefined
    for (const name of wanted) readers[name]()
    decide()
    for (const values of early.q || []) call(...values)
  }
  call.on = true
  w.afterclick = call
  on(d, "click", clicked)
  on(d, "auxclick", clicked)
  on(d, "submit", ({ target }) => target.dataset.ac && track(target.dataset.ac, { element: "form" }))
  on(d, "visibilitychange", () => {
    save()
    send(d.hidden)
  })
  on(w, "pagehide", () => {
    if (asked && !id) setId(adopted() || uuid())
    left = true
    save()
    send(true)
  })
  on(w, "online", () => wake(0))
  /** Applies what the visitor has decided in another tab if that is less; "" or null for a withdrawal. */
  const follow = (value) => {
    if (level && level !== "none") value ? (level = lowest([level, value])) : forget()
  }
  on(w, "storage", ({ key, newValue }) => key === "ac_level" && follow(newValue))
  on(w, "pageshow", ({ persisted }) => {
    if (!persisted) return
    left = false
    // Another page may have sent the messages while this one was in the cache.
    follow(store("ac_level"))
    send()
    save()
    if (config.pages !== "0") page()
  })
  d.prerendering ? on(d, "prerenderingchange", start) : start()
})(window, document, navigator)
