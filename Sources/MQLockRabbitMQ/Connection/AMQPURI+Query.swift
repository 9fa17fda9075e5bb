extension AMQPURI {
    /// The query parameters of https://www.rabbitmq.com/docs/uri-query-parameters, plus `frame_max`; but to turn
    /// verification off, `insecure=true` replaces `verify=verify_none`.
    static func parseQuery(_ query: Substring, into endpoint: inout Endpoint) throws(ConnectionFailure) {
        var seen: Set<String> = []
        var tls = endpoint.tls ?? Endpoint.TLS()
        var tlsKey: String?
        for item in query.split(separator: "&") {
            let equals = item.firstIndex(of: "=") ?? item.endIndex
            let key = try decoded(item[..<equals], "query")
            guard !key.isEmpty else { throw failure("a query parameter has no name") }
            let value = try decoded(item[equals...].dropFirst(), "query parameter \(key)")
            guard seen.insert(key).inserted else { throw failure("the query parameter \(key) is given twice") }
            switch key {
            case "heartbeat":
                // The broker closes idle connections after two intervals; 0 would turn that off, and our proof with it.
                endpoint.heartbeat = try number(value.hasSuffix("s") ? String(value.dropLast()) : value, key, 1...65535)
            case "connection_timeout":
                endpoint.connectionTimeout = .milliseconds(try number(value, key, 1...86_400_000))
            case "channel_max":
                // 0 means "no limit of mine" on the wire.
                let limit = try number(value, key, 0...65535)
                endpoint.channelMax = limit == 0 ? .max : UInt16(limit)
            // Larger frames can hold deeper tables than the library has stack for. Ours are a few hundred bytes.
            case "frame_max": endpoint.frameMax = try number(value, key, 4096...Endpoint.defaultFrameMax)
            case "auth_mechanism":
                switch value.lowercased() {
                case "plain": endpoint.mechanism = .plain
                case "external": endpoint.mechanism = .external
                default: throw failure("auth_mechanism can be plain or external")
                }
            case "cacertfile": (tls.caCertificateFile, tlsKey) = (try file(value, key), key)
            case "certfile": (tls.certificateFile, tlsKey) = (try file(value, key), key)
            case "keyfile": (tls.keyFile, tlsKey) = (try file(value, key), key)
            case "server_name_indication": (tls.serverName, tlsKey) = (try file(value, key), key)
            case "verify":
                guard value != "verify_none" else {
                    throw failure(
                        "verify=verify_none is not taken; name the CA with cacertfile=, or write insecure=true "
                            + "to talk to whoever answers")
                }
                guard value == "verify_peer" else { throw failure("verify can be verify_peer only") }
                tlsKey = key
            case "insecure":
                switch value {
                case "true": tls.verifiesPeer = false
                case "false": tls.verifiesPeer = true
                default: throw failure("insecure can be true or false")
                }
                tlsKey = key
            default: endpoint.extra[key] = value
            }
        }
        if let tlsKey, endpoint.tls == nil { throw failure("\(tlsKey) makes sense with amqps:// only") }
        guard tls.verifiesPeer || !seen.contains("verify") else {
            throw failure("verify=verify_peer and insecure=true contradict each other")
        }
        guard (tls.certificateFile == nil) == (tls.keyFile == nil) else {
            throw failure("certfile and keyfile belong together; they may name the same file")
        }
        if endpoint.tls != nil { endpoint.tls = tls }
    }

    private static func number(
        _ text: String, _ key: String, _ range: ClosedRange<Int>
    ) throws(ConnectionFailure) -> Int {
        guard text.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let number = Int(text), range.contains(number)
        else { throw failure("\(key) is not a number from \(range.lowerBound) to \(range.upperBound)") }
        return number
    }

    private static func file(_ text: String, _ key: String) throws(ConnectionFailure) -> String {
        guard !text.isEmpty else { throw failure("\(key) is empty") }
        return text
    }
}
