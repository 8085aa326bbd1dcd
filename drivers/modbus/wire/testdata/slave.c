/* A Modbus slave made of libmodbus, for the tests: slave rtu PATH | slave tcp PORT.
   Unit 1; coil n is n%2 == 0, discrete n is n%3 == 0, holding n is n+1000, input n is n+2000; 200 of each. */
#include <errno.h>
#include <modbus.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static modbus_mapping_t *map(void)
{
	modbus_mapping_t *m = modbus_mapping_new(200, 200, 200, 200);
	if (!m)
		exit(1);
	for (int n = 0; n < 200; n++) {
		m->tab_bits[n] = n % 2 == 0;
		m->tab_input_bits[n] = n % 3 == 0;
		m->tab_registers[n] = n + 1000;
		m->tab_input_registers[n] = n + 2000;
	}
	return m;
}

static void serve(modbus_t *ctx, modbus_mapping_t *m)
{
	uint8_t query[MODBUS_MAX_ADU_LENGTH];
	for (;;) {
		int n = modbus_receive(ctx, query);
		if (n > 0)
			modbus_reply(ctx, query, n, m);
		else if (n < 0 && errno != EMBBADCRC && errno != ETIMEDOUT)
			return; /* the line is gone */
	}
}

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	int rtu = strcmp(argv[1], "rtu") == 0;
	modbus_t *ctx = rtu ? modbus_new_rtu(argv[2], 115200, 'N', 8, 1) : modbus_new_tcp("127.0.0.1", atoi(argv[2]));
	if (!ctx)
		return 1;
	modbus_set_slave(ctx, 1);
	modbus_mapping_t *m = map();
	if (rtu) {
		if (modbus_connect(ctx) < 0) {
			fprintf(stderr, "%s\n", modbus_strerror(errno));
			return 1;
		}
		puts("ready");
		fflush(stdout);
		serve(ctx, m);
		return 0;
	}
	int s = modbus_tcp_listen(ctx, 1);
	if (s < 0) {
		fprintf(stderr, "%s\n", modbus_strerror(errno));
		return 1;
	}
	puts("ready");
	fflush(stdout);
	for (;;) {
		if (modbus_tcp_accept(ctx, &s) < 0)
			return 1;
		serve(ctx, m);
		modbus_close(ctx);
	}
}
