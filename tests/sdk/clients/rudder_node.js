// Tells the story with @rudderstack/rudder-sdk-node: node rudder_node.js '{"url", "key", "story"}'
const RudderAnalytics = require('@rudderstack/rudder-sdk-node');

const { url, key, story } = JSON.parse(process.argv[2]);
const userId = story.user;
const client = new RudderAnalytics(key, {
  dataPlaneUrl: url,
  flushAt: story.coins,
  flushInterval: 500,
  retryCount: 8,
});

async function tell() {
  client.identify({ userId, traits: story.traits });
  client.track({ userId, event: 'Level Started', properties: { level: 1 } });
  client.page({ userId, name: 'Shop', properties: { url: 'https://game.example/shop' } });
  client.screen({ userId, name: 'Boss Room' });
  client.group({ userId, groupId: story.guild, traits: { name: 'Night Owls' } });
  client.alias({ userId, previousId: story.old });
  await client.flush();
  const sent = [];
  for (let n = 0; n < story.coins; n += 1) {
    sent.push(
      new Promise((resolve, reject) => {
        client.track({ userId, event: 'Coin Collected', properties: { n } }, (error) =>
          error ? reject(error) : resolve(),
        );
      }),
    );
  }
  await client.flush();
  await Promise.all(sent);
}

tell().then(
  () => process.exit(0),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
