import MQLock

extension KafkaConnection {
    /// Whether the client proves who it is: by ``sasl``, or by properties.
    var authenticates: Bool { sasl != nil || properties.keys.contains { $0.hasPrefix("sasl.") } }

    /// What the connection exposes to others on the network, for people; nil if nothing.
    ///
    /// A cluster that asks for no password loses nothing more by plain text.
    package var exposure: String? {
        let shown = brokers.joined(separator: ",").escapedForDisplay
        if let tls {
            guard tls.insecure else { return nil }
            return """
                the certificates of the brokers at \(shown) are not verified (insecure=true): whoever answers there learns \
                the password and can hand out locks; name their authorities instead, in a URI with cacertfile=
                """
        }
        guard authenticates, !brokers.allSatisfy({ Self.host($0).isLoopbackHost }) else { return nil }
        return """
            the connection to the brokers at \(shown) is not encrypted: password and locks are open to the network; set \
            tls, in a URI tls=true
            """
    }

    /// The host of `host`, `host:port` or `[address]:port`.
    private static func host(_ broker: String) -> String {
        if broker.first == "[" { return String(broker.dropFirst().prefix { $0 != "]" }) }
        guard let colon = broker.firstIndex(of: ":"), !broker[broker.index(after: colon)...].contains(":") else {
            return broker
        }
        return String(broker[..<colon])
    }
}
