package netsim_test

// goldenForm is testdata/goodput.md around its tables.
const goldenForm = `# Goodputs

Written by ` + "`go test ./stack/netsim -run TestGoodput -update`" + `, and held to the octet by that test: one flow through a bottleneck
of 20 Mbit/s, in virtual time, 20 s from the dial on, slow start included. Each entry is the goodput in Mbit/s and which
part of the payload sent was a copy, in per cent. A full line carries 19.31 Mbit/s of payload.

## Controllers

The queue drops what does not fit; it is measured in bandwidth-delay products (BDP). Losses are random, each packet by itself.
"Reno's model" is a window of √(3/2p) segments (RFC 9438 §5.1 has it beside CUBIC's), which knows neither time-outs
nor the time that packets take on the line. "gentle" is the example of a third controller in
[example_controller_test.go](../example_controller_test.go). One seed each, so that rows with few losses are rough.

| RTT | loss | Reno's model | cubic, ¼ BDP | reno, ¼ BDP | gentle, ¼ BDP | cubic, 1 BDP | reno, 1 BDP | gentle, 1 BDP | cubic, 4 BDP | reno, 4 BDP | gentle, 4 BDP |
|---|---|---|---|---|---|---|---|---|---|---|---|
%s
## Switches

CUBIC, 50 ms, a queue of 1 BDP unless said otherwise, with one switch off at a time. "Reordered" holds 1 %% of the packets back by up
to 10 ms. The last two columns are 100 kB and how long they take, from the dial to the end that the receiver reads: the mean of 100
transfers with 3 %% of loss, and one that loses its last three segments.

| | no loss | no loss, ¼ BDP | loss 1 %% | reordered | 100 kB, loss 3 %% | 100 kB, tail lost |
|---|---|---|---|---|---|---|
%s`
