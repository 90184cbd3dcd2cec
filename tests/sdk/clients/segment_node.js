// Tells the story with @segment/analytics-node: node segment_node.js '{"url", "key", "story"}'
const { Analytics } = require('@segment/analytics-node');

const { url, key, story } = JSON.parse(process.argv[2]);
const userId = story.user;
const client = new Analytics({
  writeKey: key,
  host: url,
  flushAt: story.coins,
  flushInterval: 300,
  maxRetries: 8,
});

// Resolves when the server has answered for this call.
const call = (name, message) =>
  new Promise((resolve, reject) => {
    client[name](message, (error) => (error ? reject(error) : resolve()));
  });

async function tell() {
  await Promise.all([
    call('identify', { userId, traits: story.traits }),
    call('track', { userId, event: 'Level Started', properties: { level: 1 } }),
    call('page', { userId, name: 'Shop', properties: { url: 'https://game.example/shop' } }),
    call('screen', { userId, name: 'Boss Room' }),
    call('group', { userId, groupId: story.guild, traits: { name: 'Night Owls' } }),
    call('alias', { userId, previousId: story.old }),
  ]);
  const coins = Array.from({ length: story.coins }, (_, n) => n);
  await Promise.all(coins.map((n) => call('track', { userId, event: 'Coin Collected', properties: { n } })));
  await client.closeAndFlush({ timeout: 10000 });
}

tell().then(
  () => process.exit(0),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
