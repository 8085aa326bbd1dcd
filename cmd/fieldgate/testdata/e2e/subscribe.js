// A persistent QoS 1 subscriber by MQTT.js (MQTT 5): prints each message as one
// JSON line.
//
// usage: node subscribe.js MODULES PORT FILTER CLIENTID
const path = require('path')
const [modules, port, filter, clientId] = process.argv.slice(2)
const mqtt = require(path.join(modules, 'mqtt'))
const client = mqtt.connect(`mqtt://127.0.0.1:${port}`, {
  protocolVersion: 5, clientId, clean: false, reconnectPeriod: 300,
  properties: { sessionExpiryInterval: 3600 },
})
client.on('connect', () => client.subscribe(filter, { qos: 1 }, (err) => {
  if (!err) console.error('subscribed')
}))
client.on('message', (topic, payload) => console.log(JSON.stringify({ topic, payload: payload.toString() })))
client.on('error', () => {})
