/* A Modbus RTU slave by libmodbus, unit 3: input registers 0-1 hold a float32
 * (ABCD) that rises by 0.5 with every read, holding register 10 is a set-point.
 *
 * usage: slave_rtu PORT
 */
#include <errno.h>
#include <modbus.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    uint8_t request[MODBUS_RTU_MAX_ADU_LENGTH];
    float value = 0;
    uint32_t bits;
    modbus_t *ctx;
    modbus_mapping_t *map;

    if (argc != 2)
        return 2;
    ctx = modbus_new_rtu(argv[1], 9600, 'E', 8, 1);
    map = modbus_mapping_new(0, 0, 100, 100);
    if (ctx == NULL || map == NULL || modbus_set_slave(ctx, 3) != 0 || modbus_connect(ctx) != 0) {
        fprintf(stderr, "%s: %s\n", argv[1], modbus_strerror(errno));
        return 1;
    }
    puts("ready");
    fflush(stdout);
    for (;;) {
        int n = modbus_receive(ctx, request);
        if (n > 0) {
            value += 0.5f;
            memcpy(&bits, &value, sizeof bits); /* not by the library: its set_float_abcd swaps bytes in 3.1.6 */
            map->tab_input_registers[0] = bits >> 16;
            map->tab_input_registers[1] = bits & 0xFFFF;
            modbus_reply(ctx, request, n, map);
        } else if (n == -1 && errno != EMBBADCRC && errno != ETIMEDOUT) {
            usleep(10000); /* the other end of the pty may be closed for a while */
        }
    }
}
