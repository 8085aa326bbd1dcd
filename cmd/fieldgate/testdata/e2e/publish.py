"""A QoS 1 publisher by paho: publishes 1, 2, 3 ... to a topic every 20 ms, and
prints each number once its PUBACK has come. Reconnects for ever.

usage: publish.py PORT TOPIC
"""
import sys
import time

import paho.mqtt.client as mqtt

port, topic = int(sys.argv[1]), sys.argv[2]
pending = {}


def on_publish(client, userdata, mid):
    n = pending.pop(mid, None)
    if n is not None:
        print(n, flush=True)


try:
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION1, "e2e-publisher", clean_session=False)
except AttributeError:  # paho 1.x
    client = mqtt.Client("e2e-publisher", clean_session=False)
client.on_publish = on_publish
client.reconnect_delay_set(1, 1)
while True:
    try:
        client.connect("127.0.0.1", port, keepalive=5)
        break
    except OSError:
        time.sleep(0.2)
client.loop_start()
n = 0
while True:
    if client.is_connected() and len(pending) < 10:
        n += 1
        info = client.publish(topic, str(n), qos=1)
        if info.rc == mqtt.MQTT_ERR_SUCCESS:
            pending[info.mid] = n
    time.sleep(0.02)
