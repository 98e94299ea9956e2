/**
 * Plays transcripts to the JavaScript client, in place of a gateway: `play(cases)` returns what each
 * client shows in the end, in the form of `ReferenceClient.shown`. Run inside the page, as text.
 */

const turn = () =>
  new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(0);
  });

const settle = async () => {
  for (let turns = 0; turns < 3; turns++) await turn();
};

/** The gateway's side: what the client says is noted, what the transcript says is told. */
class Player {
  sockets = [];
  rest = {};
  cursors = {};
  joins = new Map();
  joined = new Set();
  resumeId = null;
  waiting = [];
  at = 0;

  constructor({ user, delay }) {
    this.user = user;
    this.delay = delay;
    const player = this;
    globalThis.WebSocket = class {
      static OPEN = 1;
      readyState = 0;
      constructor() {
        player.sockets.push(this);
      }
      send(text) {
        player.hear(JSON.parse(text));
      }
      close() {
        this.readyState = 3;
      }
    };
    globalThis.fetch = (address) => this.answer(new URL(address));
  }

  get socket() {
    return this.sockets.at(-1);
  }

  open() {
    this.socket.readyState = 1;
    this.socket.onopen();
  }

  tell(frame) {
    if (frame.cursor && frame.channelId) this.cursors[frame.channelId] = frame.cursor;
    this.socket.onmessage({ data: JSON.stringify(frame) });
  }

  hear({ op, id, channelId }) {
    if (op === "join_channel") this.joins.set(channelId, id);
    else if (op === "resume") this.resumeId = id;
    else if (op === "leave_channel") this.joins.delete(channelId);
  }

  answer({ pathname, searchParams }) {
    const name = pathname.split("/").at(-1);
    const body = {
      messages: () => this.rest[`messages:${searchParams.get("channelId")}`],
      unread: () => this.rest.unread,
      notifications: () => this.rest.notifications,
      members: () => ({ items: [] }),
    }[name]?.() ?? { kind: "open", name: null };
    return new Promise((resolve) => {
      // Not a `Response`: how long a body takes to be read is the browser's business.
      const response = { ok: true, text: async () => JSON.stringify(body) };
      this.waiting.push([this.at + this.delay, () => resolve(response)]);
    });
  }

  async answerUntil(at) {
    while (this.waiting.length && this.waiting[0][0] <= at) {
      this.waiting.shift()[1]();
      await settle();
    }
  }

  /** A channel that the client joins by itself is answered as it then is. */
  answerJoins() {
    for (const [channelId, id] of this.joins) {
      if (!this.joined.has(channelId)) continue;
      this.joins.delete(channelId);
      const { items, count } = this.rest[`active:${channelId}`];
      const cursor = this.cursors[channelId];
      this.tell({ type: "joined", id, channelId, cursor, activeUsers: items, activeCount: count });
    }
  }

  async take(step) {
    if (step.rest) {
      this.rest = step.rest;
      return;
    }
    const { frame } = step;
    if (frame.type === "reconnect") {
      const before = this.sockets.length;
      this.joined.clear();
      this.tell(frame);
      while (this.sockets.length === before) await new Promise((resolve) => setTimeout(resolve));
      this.open();
    } else if (frame.type === "joined") {
      this.joined.add(frame.channelId);
      const id = this.joins.get(frame.channelId) ?? this.resumeId;
      this.joins.delete(frame.channelId);
      this.tell({ ...frame, id });
    } else if (frame.type === "resumed") this.tell({ ...frame, id: this.resumeId });
    else this.tell(frame);
  }

  async play(client, channels, transcript) {
    for (const channel of channels) client.join(channel);
    client.connect();
    this.open();
    for (const step of transcript) {
      await this.answerUntil(this.at);
      await this.take(step);
      await settle();
      this.answerJoins();
      this.at += 1;
    }
    while (this.waiting.length || this.joins.size) {
      await this.answerUntil(Infinity);
      this.answerJoins();
      await settle();
    }
  }
}

function shownBy(client) {
  const channels = [...client.channels.values()];
  const each = (show) => Object.fromEntries(channels.map((channel) => [channel.id, show(channel)]));
  return {
    messages: each(({ timeline }) => [...timeline.messages].reverse()),
    active: each(({ people, activeCount }) => ({
      users: Object.fromEntries(people),
      count: activeCount,
    })),
    unread: each(({ read, number, unread, mentions }) => ({ read, number, unread, mentions })),
    notifications: {
      unread: client.unreadNotifications,
      items: client.notifications.map((it) => ({ ...it, readAt: it.readAt !== null })),
    },
  };
}

async function play(cases) {
  const { HubbubClient } = await import("/assets/client/hubbub.js");
  const real = { WebSocket: globalThis.WebSocket, fetch: globalThis.fetch };
  const shown = [];
  for (const { user, channels, transcript, delay } of cases) {
    const player = new Player({ user, delay });
    const client = new HubbubClient({ user: { id: user, name: "Name" } });
    await player.play(client, channels, transcript);
    shown.push(shownBy(client));
    client.close();
  }
  Object.assign(globalThis, real);
  return shown;
}
