package ippkt

// Reason is why a packet or message was refused. Its String names a counter.
type Reason uint8

// The reasons. ReasonNone is success.
const (
	ReasonNone            Reason = iota
	ReasonShort                  // shorter than its fixed header
	ReasonVersion                // neither 4 nor 6
	ReasonHeaderLen              // IHL below 5 or past the packet
	ReasonTotalLen               // stated length exceeds what came
	ReasonHeaderChecksum         // IPv4 header checksum
	ReasonOptions                // malformed IPv4 options
	ReasonSourceRoute            // loose or strict source route (OPT4-05)
	ReasonMappedAddr             // IPv4-mapped address in an IPv6 packet
	ReasonSource                 // source address that no host can have
	ReasonDestination            // destination address that must not be on a wire
	ReasonExtension              // IPv6 extension header past the end of the packet
	ReasonExtensionLimit         // too many or too long extension headers or options (V6R-18)
	ReasonExtensionOption        // malformed option in an extension header
	ReasonUnknownOption          // unknown IPv6 option whose type forbids skipping it
	ReasonHopByHop               // Hop-by-Hop header not in first place
	ReasonRouting                // routing header with segments left
	ReasonNoNextHeader           // nothing follows the headers, as stated (V6R-11)
	ReasonJumbo                  // payload length 0 with extension headers
	ReasonFragmentLen            // fragment empty, or not the last and no multiple of 8
	ReasonFragmentTooBig         // fragment past the largest possible packet
	ReasonFragmentChain          // first fragment without the whole header chain (RFC 7112)
	ReasonICMPShort              // ICMP message shorter than its header
	ReasonICMPChecksum           // ICMP checksum
	ReasonQuoteShort             // quoted packet too short to name a flow
	ReasonQuoteVersion           // quoted packet of the other IP version
	ReasonQuoteFragment          // quoted packet is a non-initial fragment
	ReasonUDPShort               // shorter than a UDP header
	ReasonUDPLen                 // UDP length below 8 or past the packet
	ReasonUDPChecksum            // UDP checksum
	ReasonUDPNoChecksum          // UDP over IPv6 without checksum (UDP-03)
	NumReasons            = iota // for arrays of counters
)

var reasonNames = [NumReasons]string{
	ReasonNone:            "ok",
	ReasonShort:           "ip-short",
	ReasonVersion:         "ip-version",
	ReasonHeaderLen:       "ip-header-length",
	ReasonTotalLen:        "ip-total-length",
	ReasonHeaderChecksum:  "ip-header-checksum",
	ReasonOptions:         "ip-options",
	ReasonSourceRoute:     "ip-source-route",
	ReasonMappedAddr:      "ip-mapped-address",
	ReasonSource:          "ip-martian-source",
	ReasonDestination:     "ip-martian-destination",
	ReasonExtension:       "ip6-extension-short",
	ReasonExtensionLimit:  "ip6-extension-limit",
	ReasonExtensionOption: "ip6-extension-option",
	ReasonUnknownOption:   "ip6-unknown-option",
	ReasonHopByHop:        "ip6-hop-by-hop-misplaced",
	ReasonRouting:         "ip6-routing-header",
	ReasonNoNextHeader:    "ip6-no-next-header",
	ReasonJumbo:           "ip6-jumbogram",
	ReasonFragmentLen:     "fragment-length",
	ReasonFragmentTooBig:  "fragment-too-big",
	ReasonFragmentChain:   "fragment-header-chain",
	ReasonICMPShort:       "icmp-short",
	ReasonICMPChecksum:    "icmp-checksum",
	ReasonQuoteShort:      "icmp-quote-short",
	ReasonQuoteVersion:    "icmp-quote-version",
	ReasonQuoteFragment:   "icmp-quote-fragment",
	ReasonUDPShort:        "udp-short",
	ReasonUDPLen:          "udp-length",
	ReasonUDPChecksum:     "udp-checksum",
	ReasonUDPNoChecksum:   "udp-no-checksum",
}

// String returns the name of the counter for r.
func (r Reason) String() string {
	if int(r) < len(reasonNames) {
		return reasonNames[r]
	}
	return "unknown"
}
