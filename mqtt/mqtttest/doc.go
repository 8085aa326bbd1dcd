// Package mqtttest helps to test both ends of MQTT: Peer is the other end,
// which a test scripts packet by packet or byte by byte; Server is a listener
// whose connections are such peers; Meddler is a connection that misbehaves as
// told, and Link a network between two ends that can be stalled and cut.
package mqtttest
