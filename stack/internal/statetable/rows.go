package statetable

import "strings"

// across reads the cells of a row of §18a: SR, SR*, ES, F1, F2, CW, CG, LA, TW; "n/a" cannot occur.
func across(line string) map[State]string {
	cells := map[State]string{}
	for i, want := range strings.Fields(line) {
		if want != "n/a" {
			cells[matrix[i]] = want
		}
	}
	return cells
}

// only is a row of §18b: one state.
func only(s State, want string) map[State]string { return map[State]string{s: want} }

// rows are the events, those of §18a in the order of its rows. Where §18 leaves a choice, the cell is what docs/decisions.md and
// §19 settle: another SYN in SYN-RECEIVED is challenged (P-5), a reset in TIME-WAIT ignored (P-2).
var rows = []row{
	// 18a                                                                                                SR    SR*   ES    F1    F2    CW    CG    LA    TW
	{id: "a", name: "text out of window", flags: ".", at: 100000, text: 10, ack: ordinary, cells: across("A     A     A     A     A     A     A     A     A")},
	{id: "a", name: "old text", flags: ".", at: -10, text: 10, ack: ordinary, cells: across("             A     A     A     A     A     A     A     A     A")},
	{id: "b", name: "RST beyond the window", flags: "R", at: 100000, cells: across("                      -     -     -     -     -     -     -     -     -")},
	{id: "b", name: "RST before the window", flags: "R", at: -1, cells: across("                          -     -     -     -     -     -     -     -     -")},
	{id: "c", name: "RST at RCV.NXT", flags: "R", cells: across("                                        >LI   C     K     K     K     K     k     k     -")},
	{id: "c", name: "RST,ACK at RCV.NXT", flags: "R.", ack: ordinary, cells: across("                     >LI   C     K     K     K     K     k     k     -")},
	{id: "d", name: "RST in window", flags: "R", at: 1, cells: across("                                   A     A     A     A     A     A     A     A     -")},
	{id: "e", name: "SYN in window", flags: "S", at: 5, cells: across("                                   A     A     A     A     A     A     A     A     N")},
	{id: "e", name: "SYN at RCV.NXT", flags: "S", cells: across("                                        A     A     A     A     A     A     A     A     N")},
	{id: "e", name: "SYN before the window", flags: "S", at: -5, cells: across("                          A     A     A     A     A     A     A     A     A")},
	{id: "e", name: "the peer's SYN again", flags: "S", at: -1, cells: across("                           S     S     n/a   n/a   n/a   n/a   n/a   n/a   n/a")},
	{id: "f", name: "text without ACK", flags: "P", text: 10, cells: across("                              -     -     -     -     -     -     -     -     -")},
	{id: "f", name: "FIN without ACK", flags: "F", cells: across("                                        -     -     -     -     -     -     -     -     -")},
	{id: "f", name: "no flag at all", flags: "-", cells: across("                                         -     -     -     -     -     -     -     -     -")},
	{id: "g", name: "ACK too old", flags: ".", ack: una, plus: -70000, cells: across("                    R     R     A     A     A     A     A     A     A")},
	{id: "h", name: "ACK before UNA", flags: ".", ack: una, plus: -5, cells: across("                     R     R     -     -     -     -     -     -     -")},
	{id: "h", name: "ACK before UNA, text", flags: ".", text: 10, ack: una, plus: -5, cells: across("     R     R     D     D     D     -     -     -     A")},
	{id: "h", name: "ACK at UNA", flags: ".", ack: una, cells: across("                                   R     R     -     -     -     -     -     -     -")},
	{id: "i", name: "ACK of our SYN", flags: ".", ack: nxt, cells: across("                               >ES   >ES   n/a   n/a   n/a   n/a   n/a   n/a   n/a")},
	{id: "i", name: "ACK of some", with: flight, flags: ".", ack: una, plus: 5, cells: across("           n/a   n/a   +     +     n/a   +     +     +     n/a")},
	{id: "i", name: "ACK of all but a FIN", with: flight, flags: ".", ack: una, plus: 10, cells: across(" n/a   n/a   +     +     n/a   +     +     +     n/a")},
	{id: "j", name: "ACK of our FIN", flags: ".", ack: nxt, cells: across("                               n/a   n/a   n/a   +>F2  n/a   n/a   >TW   k     n/a")},
	{id: "j", name: "ACK of all and our FIN", with: flight, flags: ".", ack: nxt, cells: across("          n/a   n/a   n/a   +>F2  n/a   n/a   >TW   k     n/a")},
	{id: "k", name: "ACK of the unsent", flags: ".", ack: nxt, plus: 1, cells: across("                     R     R     A     A     A     A     A     A     A")},
	{id: "k", name: "text, ACK of the unsent", flags: ".", text: 10, ack: nxt, plus: 1, cells: across("      R     R     A     A     A     A     A     A     A")},
	{id: "l", name: "URG", flags: ".U", ack: ordinary, urgent: 5, cells: across("                           U>ES  U>ES  U     U     U     -     -     -     -")},
	{id: "l", name: "URG with text", flags: ".U", text: 10, ack: ordinary, urgent: 10, cells: across("      DU>ES DU>ES DU    DU    DU    -     -     -     A")},
	{id: "m", name: "text in order", flags: ".", text: 10, ack: ordinary, cells: across("                   D>ES  D>ES  D     D     D     -     -     -     A")},
	{id: "n", name: "text out of order", flags: ".", at: 5, text: 10, ack: ordinary, cells: across("        A>ES  A>ES  A     A     A     -     -     -     A")},
	{id: "o", name: "text, no room", with: shut, flags: ".", edge: true, text: 1, ack: ordinary, cells: across("A     A     A     A     A     A     A     A     A")},
	{id: "o", name: "text, no room, ACK", with: shut | flight, flags: ".", text: 1, ack: una, plus: 5, cells: across("n/a   n/a   A+    A+    n/a   A+    A+    A+    n/a")},
	{id: "o", name: "URG, no room", with: shut, flags: ".U", ack: ordinary, urgent: 5, cells: across("        n/a   n/a   U     U     U     -     -     -     -")},
	{id: "o", name: "RST, no room", with: shut, flags: "R", cells: across("                                      n/a   n/a   K     K     K     K     k     k     -")},
	{id: "p", name: "FIN", flags: "F.", ack: ordinary, cells: across("                                     A>CW  A>CW  A>CW  A>CG  A>TW  -     -     -     A")},
	{id: "p", name: "FIN with text", flags: "F.", text: 10, ack: ordinary, cells: across("                          AD>CW AD>CW AD>CW AD>CG AD>TW -     -     -     A")},
	{id: "p", name: "FIN, ACK of ours", flags: "F.", ack: nxt, cells: across("                             n/a   n/a   n/a   A>TW  n/a   n/a   >TW   k     n/a")},
	{id: "p", name: "FIN again", flags: "F.", at: -1, ack: ordinary, cells: across("                            A     A     A     A     A     A     A     A     A")},
	{id: "q", name: "FIN beyond a gap", flags: "F.", at: 5, ack: ordinary, cells: across("                       A>ES  A>ES  A     A     A     -     -     -     -")},
	{id: "q", name: "FIN with text, a gap", flags: "F.", at: 5, text: 10, ack: ordinary, cells: across("          A>ES  A>ES  A     A     A     -     -     -     A")},
	{id: "r", name: "text, nobody reads", with: gone, flags: ".", text: 10, ack: ordinary, cells: across("             n/a   n/a   n/a   Xk    Xk    n/a   n/a   n/a   n/a")},

	// 18b, CLOSED
	{id: "ST-CL1", name: "RST", flags: "R", at: 100, cells: only(CL, "-")},
	{id: "ST-CL1", name: "RST,ACK", flags: "R.", at: 100, ack: una, plus: 7, cells: only(CL, "-")},
	{id: "ST-CL2", name: "SYN", flags: "S", at: 100, cells: only(CL, "Z")},
	{id: "ST-CL2", name: "text without ACK", flags: "P", at: 100, text: 10, cells: only(CL, "Z")},
	{id: "ST-CL2", name: "FIN with text, no ACK", flags: "F", at: 100, text: 10, cells: only(CL, "Z")},
	{id: "ST-CL2", name: "no flag at all", flags: "-", at: 100, cells: only(CL, "Z")},
	{id: "ST-CL3", name: "ACK", flags: ".", at: 100, ack: una, plus: 7, cells: only(CL, "R")},
	{id: "ST-CL3", name: "SYN,ACK", flags: "S.", at: 100, ack: una, plus: 7, cells: only(CL, "R")},
	{id: "ST-CL3", name: "FIN with text", flags: "F.", at: 100, text: 10, ack: una, plus: 7, cells: only(CL, "R")},

	// LISTEN
	{id: "ST-LI1", name: "RST", flags: "R", cells: only(LI, "-")},
	{id: "ST-LI1", name: "RST,ACK", flags: "R.", ack: una, plus: 7, cells: only(LI, "-")},
	{id: "ST-LI2", name: "ACK", flags: ".", ack: una, plus: 7, cells: only(LI, "R")},
	{id: "ST-LI2", name: "SYN,ACK", flags: "S.", ack: una, plus: 7, cells: only(LI, "R")},
	{id: "ST-LI2", name: "FIN with text", flags: "F.", text: 10, ack: una, plus: 7, cells: only(LI, "R")},
	{id: "ST-LI3", name: "SYN", flags: "S", cells: only(LI, "S>SR")},
	{id: "ST-LI3", name: "SYN,FIN", flags: "SF", cells: only(LI, "S>SR")},
	{id: "ST-LI5", name: "FIN", flags: "F", cells: only(LI, "-")},
	{id: "ST-LI5", name: "text", flags: "P", text: 10, cells: only(LI, "-")},
	{id: "ST-LI5", name: "no flag at all", flags: "-", cells: only(LI, "-")},

	// SYN-SENT
	{id: "ST-SS1", name: "ACK at ISS", flags: ".", ack: una, cells: only(SS, "R")},
	{id: "ST-SS1", name: "ACK of the unsent", flags: ".", ack: nxt, plus: 1, cells: only(SS, "R")},
	{id: "ST-SS1", name: "SYN, ACK of the unsent", flags: "S.", ack: nxt, plus: 1, cells: only(SS, "R")},
	{id: "ST-SS2", name: "RST, ACK of the unsent", flags: "R.", ack: nxt, plus: 1, cells: only(SS, "-")},
	{id: "ST-SS2", name: "RST, ACK at ISS", flags: "R.", ack: una, cells: only(SS, "-")},
	{id: "ST-SS3", name: "RST, ACK of our SYN", flags: "R.", ack: nxt, cells: only(SS, "C")},
	{id: "ST-SS4", name: "RST", flags: "R", cells: only(SS, "-")},
	{id: "ST-SS5", name: "SYN,ACK", flags: "S.", ack: nxt, cells: only(SS, "A>ES")},
	{id: "ST-SS6", name: "SYN,ACK with text", flags: "S.", text: 10, ack: nxt, cells: only(SS, "AD>ES")},
	{id: "ST-SS6", name: "SYN,ACK,FIN with text", flags: "SF.", text: 10, ack: nxt, cells: only(SS, "AD>CW")},
	{id: "ST-SS7", name: "SYN", flags: "S", cells: only(SS, "S>SR")},
	{id: "ST-SS8", name: "ACK of our SYN", flags: ".", ack: nxt, cells: only(SS, "-")},
	{id: "ST-SS9", name: "FIN", flags: "F", cells: only(SS, "-")},
	{id: "ST-SS9", name: "text", flags: "P", text: 10, cells: only(SS, "-")},

	// SYN-RECEIVED
	{id: "ST-SR7", name: "SYN,ACK at IRS", flags: "S.", at: -1, ack: nxt, cells: only(SRA, "A>ES")},
	{id: "ST-SR7", name: "SYN,ACK at IRS, bad ACK", flags: "S.", at: -1, ack: nxt, plus: 1, cells: only(SRA, "R")},
	{id: "ST-SR6", name: "SYN,ACK at IRS, passive", flags: "S.", at: -1, ack: nxt, cells: only(SR, "A")},
}
