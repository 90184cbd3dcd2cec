// Sends the calls with @rudderstack/rudder-sdk-node: node rudder_node.js '{"url", "key", "calls"}'
const RudderAnalytics = require('@rudderstack/rudder-sdk-node');

const { url, key, calls } = JSON.parse(process.argv[2]);
const userId = calls.user;
const client = new RudderAnalytics(key, {
  dataPlaneUrl: url,
  flushAt: calls.coins,
  flushInterval: 500,
  retryCount: 8,
});

async function send() {
  client.identify({ userId, traits: calls.traits });
  client.track({ userId, event: 'Level Started', properties: { level: 1 } });
  client.page({ userId, name: 'Shop', properties: { url: 'https://game.example/shop' } });
  client.screen({ userId, name: 'Boss Room' });
  client.group({ userId, groupId: calls.guild, traits: { name: 'Night Owls' } });
  client.alias({ userId, previousId: calls.old });
  await client.flush();
  const sent = [];
  for (let n = 0; n < calls.coins; n += 1) {
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

send().then(
  () => process.exit(0),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
