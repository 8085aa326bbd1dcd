// Package mqtt holds the vocabulary that broker, client, queue and bridge
// share: Message, Properties, Sample, QoS, reason codes, topics and filters,
// and the state a session keeps. It knows no wire, no socket and no disk.
//
// The wire is mqtt/packet, packet ids and windows are mqtt/session, the two
// ends are mqtt/broker and mqtt/client.
package mqtt
