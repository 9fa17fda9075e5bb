import MQLock

/// The properties of one client. Those that are set here cannot be overridden from outside.
struct ClientSettings: Sendable {
    let connection: KafkaConnection
    /// The properties of this kind of client, in the order in which to set them.
    let own: [(name: String, value: String)]

    /// All properties in the order in which to set them: later ones win.
    /// - Throws: `LockError` with code `invalidConfiguration`.
    func properties() throws(LockError) -> [(name: String, value: String)] {
        let defaults: [(name: String, value: String)] = [
            // A lock has to try again quickly; the library's defaults are made for bulk.
            ("reconnect.backoff.ms", "50"), ("reconnect.backoff.max.ms", "1000"),
            ("socket.keepalive.enable", "true"), ("socket.nagle.disable", "true"),
            ("allow.auto.create.topics", "false"), ("log_level", "5"),
        ]
        let typed = try connection.typedProperties()
        var all = defaults + typed
        for (name, value) in connection.properties.sorted(by: { $0.key < $1.key }) {
            try check(name, typed: typed.map(\.name))
            // Suites without authentication or encryption are never offered, whatever the list says.
            all.append((name, name == "ssl.cipher.suites" ? "\(value):!aNULL:!eNULL" : value))
        }
        return all + own
    }

    private func check(_ name: String, typed: [String]) throws(LockError) {
        func refuse(_ why: String) -> LockError {
            LockError(.invalidConfiguration, "the librdkafka property \(name.escapedForDisplay) cannot be set: \(why)")
        }
        if Self.reserved.contains(name) { throw refuse("the safety of locks rests on it") }
        if let instead = Self.replaced[name] { throw refuse("use \(instead)") }
        // The library has two names for it.
        if typed.contains(name == "sasl.mechanisms" ? "sasl.mechanism" : name) {
            throw refuse("the connection says it already, by a value of its own")
        }
        if name.hasPrefix("ssl."), connection.tls == nil {
            throw refuse("the connection is not encrypted; set tls, or tls=true in a URI")
        }
    }

    /// Properties that would silently turn off what the connection promises, and those that replace them.
    static let replaced = [
        "security.protocol": "tls and sasl, in a URI tls=true and a user, or a property sasl.mechanism",
        "enable.ssl.certificate.verification": "tls with insecure, in a URI insecure=true",
        "ssl.endpoint.identification.algorithm": "tls with insecure, in a URI insecure=true",
        "client.id": "clientID",
    ]

    /// Properties that the protocol sets; see the article *Sharded ownership*.
    static let reserved: Set<String> = [
        "bootstrap.servers", "metadata.broker.list", "group.id", "group.instance.id", "group.protocol",
        "session.timeout.ms", "heartbeat.interval.ms", "max.poll.interval.ms", "partition.assignment.strategy",
        "enable.auto.commit", "auto.commit.enable", "enable.auto.offset.store", "enable.partition.eof",
        "isolation.level", "auto.offset.reset", "topic.metadata.refresh.interval.ms", "transactional.id",
        "transaction.timeout.ms", "enable.idempotence",
        "enable.gapless.guarantee", "acks", "request.required.acks", "test.mock.num.brokers",
    ]
}

extension KafkaConnection {
    /// The values of the connection, as properties of the library.
    fileprivate func typedProperties() throws(LockError) -> [(name: String, value: String)] {
        // A scheme before the host would override the encryption, and a user in that place is not read.
        guard !brokers.isEmpty,
            !brokers.contains(where: { $0.isEmpty || $0.contains(",") || $0.contains("/") || $0.contains("@") })
        else {
            throw LockError(.invalidConfiguration, "name the brokers, each as host or host:port")
        }
        let encryption = tls == nil ? "plaintext" : "ssl"
        var all: [(name: String, value: String)] = [
            ("bootstrap.servers", brokers.joined(separator: ",")), ("client.id", clientID),
            ("security.protocol", authenticates ? "sasl_\(encryption)" : encryption),
        ]
        if let tls {
            all.append(("enable.ssl.certificate.verification", tls.insecure ? "false" : "true"))
            // Older libraries do not compare the name unless configured to.
            all.append(("ssl.endpoint.identification.algorithm", tls.insecure ? "none" : "https"))
            if let file = tls.authorities { all.append(("ssl.ca.location", file)) }
            if let file = tls.certificate { all.append(("ssl.certificate.location", file)) }
            if let file = tls.key { all.append(("ssl.key.location", file)) }
            if let password = tls.keyPassword { all.append(("ssl.key.password", password)) }
        }
        if let sasl {
            all += [
                ("sasl.mechanism", sasl.mechanism.name), ("sasl.username", sasl.user), ("sasl.password", sasl.password),
            ]
        }
        return all
    }
}
