// Sends the calls with @segment/analytics-node: node segment_node.js '{"url", "key", "calls"}'
const { Analytics } = require('@segment/analytics-node');

const { url, key, calls } = JSON.parse(process.argv[2]);
const userId = calls.user;
const client = new Analytics({
  writeKey: key,
  host: url,
  flushAt: calls.coins,
  flushInterval: 300,
  maxRetries: 8,
});

// Resolves when the server has answered for this call.
const call = (name, message) =>
  new Promise((resolve, reject) => {
    client[name](message, (error) => (error ? reject(error) : resolve()));
  });

async function send() {
  await Promise.all([
    call('identify', { userId, traits: calls.traits }),
    call('track', { userId, event: 'Level Started', properties: { level: 1 } }),
    call('page', { userId, name: 'Shop', properties: { url: 'https://game.example/shop' } }),
    call('screen', { userId, name: 'Boss Room' }),
    call('group', { userId, groupId: calls.guild, traits: { name: 'Night Owls' } }),
    call('alias', { userId, previousId: calls.old }),
  ]);
  const coins = Array.from({ length: calls.coins }, (_, n) => n);
  await Promise.all(coins.map((n) => call('track', { userId, event: 'Coin Collected', properties: { n } })));
  await client.closeAndFlush({ timeout: 10000 });
}

send().then(
  () => process.exit(0),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
