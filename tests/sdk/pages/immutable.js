// Imitates Immutable's web SDK (@imtbl/audience), which no package registry has: the same cookies, storage and requests.
// Its consent is always `full`, and it captures no links, forms or scrolling by itself.
const ANONYMOUS_COOKIE = 'imtbl_anon_id';
const SESSION_COOKIE = '_imtbl_sid';
const TWO_YEARS = 2 * 365 * 24 * 60 * 60;
const HALF_AN_HOUR = 30 * 60;
const QUEUE = '__imtbl_web_queue';
const ATTRIBUTION = '__imtbl_attribution';
const CLICK_IDS = ['gclid', 'dclid', 'fbclid', 'ttclid', 'rdt_cid', 'msclkid', 'li_fat_id', 'twclid'];
const CAMPAIGN = ['utm_source', 'utm_medium', 'utm_campaign', 'utm_content', 'utm_term'];
const WITH_ATTRIBUTION = ['sign_up', 'link_clicked'];

function writeCookie(name, value, seconds) {
  document.cookie = `${name}=${encodeURIComponent(value)}; path=/; max-age=${seconds}; SameSite=Lax`;
}

// The cookie's value, a new UUID without one. Both cookies have one; only that of the session is written at every use.
function cookieId(name, seconds, rolls) {
  const found = document.cookie.split('; ').find((pair) => pair.startsWith(`${name}=`));
  const id = found ? decodeURIComponent(found.slice(name.length + 1)) : crypto.randomUUID();
  if (!found || rolls) writeCookie(name, id, seconds);
  return id;
}

// Of the first page of the tab: a later click, and reset(), leave it as it is.
function tabAttribution() {
  const kept = sessionStorage.getItem(ATTRIBUTION);
  if (kept) return JSON.parse(kept);
  const query = new URLSearchParams(location.search);
  const found = {};
  for (const name of [...CAMPAIGN, ...CLICK_IDS]) if (query.get(name)) found[name] = query.get(name);
  const clicked = Object.keys(found).length > 0;
  if (query.get('referral_code')) found.referral_code = query.get('referral_code');
  if (document.referrer) found.referrer = document.referrer;
  if (clicked) found.touchpoint_type = 'click';
  found.landing_page = location.href;
  sessionStorage.setItem(ATTRIBUTION, JSON.stringify(found));
  return found;
}

class Audience {
  constructor({ publishableKey, baseUrl, flushInterval = 5000, flushSize = 20 }) {
    Object.assign(this, { publishableKey, baseUrl, flushSize, isFirstPage: true });
    this.anonymousId = cookieId(ANONYMOUS_COOKIE, TWO_YEARS, false);
    this.rollSession();
    this.queue = JSON.parse(localStorage.getItem(QUEUE) ?? '[]');
    this.attribution = tabAttribution();
    const stopped = new AbortController();
    const timer = setInterval(() => this.flush(), flushInterval);
    window.addEventListener('pagehide', () => this.flush({ keepalive: true }), { signal: stopped.signal });
    this.stop = () => {
      clearInterval(timer);
      stopped.abort();
    };
  }

  page(properties) {
    const first = this.isFirstPage ? this.attribution : {};
    this.isFirstPage = false;
    this.enqueue({ type: 'page', properties: { ...first, ...properties }, ...this.user });
  }

  track(eventName, properties) {
    const repeated = WITH_ATTRIBUTION.includes(eventName) ? this.attribution : {};
    this.enqueue({ type: 'track', eventName, properties: { ...repeated, ...properties }, ...this.user });
  }

  identify(userId, identityType, traits) {
    this.user = { userId, identityType };
    this.enqueue({ type: 'identify', ...this.user, traits });
  }

  // What was not sent yet is thrown away. The attribution stays, and the next page() states it again.
  reset() {
    this.user = undefined;
    this.queue = [];
    localStorage.removeItem(QUEUE);
    writeCookie(ANONYMOUS_COOKIE, '', 0);
    writeCookie(SESSION_COOKIE, '', 0);
    this.anonymousId = cookieId(ANONYMOUS_COOKIE, TWO_YEARS, false);
    this.rollSession();
    this.isFirstPage = true;
  }

  shutdown() {
    this.stop();
    this.flush({ keepalive: true });
  }

  async flush(options = {}) {
    if (this.flushing || this.queue.length === 0) return;
    this.flushing = true;
    const messages = this.queue.slice(0, 100);
    try {
      const answer = await fetch(`${this.baseUrl}/v1/audience/messages`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json', 'x-immutable-publishable-key': this.publishableKey },
        body: JSON.stringify({ messages }),
        ...options,
      });
      // 5xx and 429 are sent again, everything else is not.
      if (answer.status < 500 && answer.status !== 429) this.keep(this.queue.slice(messages.length));
    } finally {
      this.flushing = false;
    }
  }

  enqueue(message) {
    this.rollSession();
    this.keep([
      ...this.queue,
      {
        messageId: crypto.randomUUID(),
        eventTimestamp: new Date().toISOString(),
        anonymousId: this.anonymousId,
        surface: 'web',
        context: this.context(),
        consentLevel: 'full',
        sessionId: this.sessionId,
        ...message,
      },
    ]);
    if (this.queue.length >= this.flushSize) this.flush();
  }

  keep(queue) {
    this.queue = queue;
    localStorage.setItem(QUEUE, JSON.stringify(queue));
  }

  rollSession() {
    this.sessionId = cookieId(SESSION_COOKIE, HALF_AN_HOUR, true);
  }

  context() {
    return {
      library: '@imtbl/audience',
      libraryVersion: '0.0.0',
      userAgent: navigator.userAgent,
      locale: navigator.language,
      timezone: Intl.DateTimeFormat().resolvedOptions().timeZone,
      screen: `${screen.width}x${screen.height}`,
      screenDensity: devicePixelRatio,
      pageUrl: location.href,
      pagePath: location.pathname,
      pageReferrer: document.referrer,
      pageTitle: document.title,
    };
  }
}
