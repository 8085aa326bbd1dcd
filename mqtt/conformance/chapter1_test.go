package conformance

// Chapters 1 and 2: how data is written, and the fixed header.

var chapter1 = []statement{
	{v311: "1.5.3-1", v5: "1.5.4-1", says: "text must be well-formed UTF-8, without surrogates", script: `
		a connect
		a> 30( 0003 eda080 {} "x" )
		a end 81
		b connect
		b> 30( 0002 c328 {} "x" )
		b end 81
		c connect
		c> 82( 0001 {} 0003 edbfbf 00 )
		c end 81
		d open
		d> 10( 'MQTT' VV 02 003c {} 0001 ff )
		d refused 81`},
	{v311: "1.5.3-2", v5: "1.5.4-2", says: "text must not hold the null character", script: `
		a connect
		a> 30( 0003 610062 {} "x" )
		a end 81
		b connect
		b> 82( 0001 {} 0003 610062 00 )
		b end 81
		c connect
		c> a2( 0001 {} 0001 00 )
		c end 81`},
	{v311: "1.5.3-3", v5: "1.5.4-3", says: "a byte order mark in a text is a character and is not stripped", script: `
		a connect
		a> 82( 0001 {} < efbbbf "%" > 00 '%' 00 )
		a< 90( 0001 {} 00 00 )
		a> 30( < efbbbf "%" > {} "x" )
		a< 30( < efbbbf "%" > {} "x" )
		a none`},
	{v5: "1.5.5-1", says: "a variable byte integer takes as few bytes as it can", script: `
		a connect
		a> 30 8580 00 "abc"
		a end 81
		b connect
		b> 82( 0001 8000 '%/x' 00 )
		b end 81
		c connect
		c> 30 ffffffff 01 00
		c end 81`},
	{v5: "1.5.7-1", says: "both texts of a pair are UTF-8", script: `
		a connect
		a> 30( '%/t' ( 26 0001 ff 'v' ) "x" )
		a end 81
		b connect
		b> 30( '%/t' ( 26 'n' 0002 c0af ) "x" )
		b end 81`},
}

var chapter2 = []statement{
	{v311: "2.2.2-1", v5: "2.1.3-1", says: "reserved flags of the fixed header have their one value", script: `
		a connect
		a> c1()
		a end 81
		b connect
		b> 80( 0001 {} '%/t' 00 )
		b end 81
		c connect
		c> 43( 0001 )
		c end 81
		d open
		d> 11( 'MQTT' VV 02 003c {} '%d' )
		d end`},
	{v311: "2.2.2-2", says: "who receives wrong flags closes the connection", script: `
		a connect
		a> 60( 0001 )
		a end
		b connect
		b> a0( 0001 '%/t' )
		b end
		c connect
		c> e8()
		c end`},
	{v311: "2.3.1-1", says: "a packet id is not 0", script: `
		a connect
		a> 32( '%/t' 0000 "x" )
		a end
		b connect
		b> 82( 0000 '%/t' 00 )
		b end
		c connect
		c> a2( 0000 '%/t' )
		c end`},
	{v311: "2.3.1-2 2.3.1-3", v5: "2.2.1-3", says: "a client gives each new packet an id that is not 0 and not in use", client: `
		do connect
		do publish t 1 a
		c< 32( 't' $1 {} "a" )
		do publish t 1 b
		c< 32( 't' $2 {} "b" )
		do subscribe f 1
		c< 82( $3 {} 'f' ?? )
		different $1 $2 $3
		c> 40( $1 )
		c> 40( $2 )
		c> 90( $3 {} 01 )
		done 3`},
	{v5: "2.2.1-3", says: "a server refuses a packet id of 0", script: `
		a connect
		a> 32( '%/t' 0000 00 "x" )
		a end 82
		b connect
		b> 82( 0000 00 '%/t' 00 )
		b end 82
		c connect
		c> a2( 0000 00 '%/t' )
		c end 82`},
	{v311: "2.3.1-4", v5: "2.2.1-4", says: "a server gives each new PUBLISH with QoS over 0 an id that is not 0 and not in use", script: `
		a connect
		a sub %/t 2
		b connect
		b pub %/t 1 one
		b pub %/t 2 two
		b pub %/t 1 three
		a< 32( '%/t' $1 {} "one" )
		a< 34( '%/t' $2 {} "two" )
		a< 32( '%/t' $3 {} "three" )
		different $1 $2 $3
		a> 40( $3 )
		a> 50( $2 )
		a< 62( $2 )
		b pub %/t 1 four
		a< 32( '%/t' $4 {} "four" )
		different $1 $2 $4`},
	{v311: "2.3.1-5", v5: "2.2.1-2", says: "a PUBLISH of QoS 0 has no packet id", script: `
		a connect
		a sub %/t 2
		a pub %/t 0 text
		a< 30( '%/t' {} "text" )`},
	{v311: "2.3.1-6", v5: "2.2.1-5", says: "PUBACK, PUBREC, PUBREL and PUBCOMP carry the id of their PUBLISH", script: `
		a connect
		a> 32( '%/t' 1234 {} "x" )
		a< 40( 1234 * )
		a> 34( '%/t' ffff {} "x" )
		a< 50( ffff * )
		a> 62( ffff )
		a< 70( ffff * )`},
	{v311: "2.3.1-7", v5: "2.2.1-6", says: "SUBACK and UNSUBACK carry the id of their request", script: `
		a connect
		a> 82( abcd {} '%/t' 00 )
		a< 90( abcd {} 00 )
		a> a2( dcba {} '%/t' )
		a< b0( dcba * )`},
	{v5: "2.2.2-1", says: "no properties are written as a length of 0", script: `
		a connect
		a sub %/t 1
		a> 82( 0002 '%/t' 00 )
		a end 81 82
		b connect
		b sub %/u 0
		b pub %/u 0 x
		b< 30( '%/u' 00 "x" )`},
}
