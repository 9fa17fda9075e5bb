import MQLock

/// How to reach a Kafka cluster.
public struct KafkaConnection: Sendable, Equatable {
    /// Addresses to begin with, `host` or `host:port`; the rest of the cluster is learned from them.
    public var brokers: [String]
    /// Whether and how connections are encrypted; `nil` is plain text.
    public var tls: TLS?
    /// How to authenticate; `nil` is not at all.
    public var sasl: SASL?
    /// The client's name in the brokers' logs and quotas.
    public var clientID: String
    /// Any other property of librdkafka, by its own name:
    /// <https://github.com/confluentinc/librdkafka/blob/master/CONFIGURATION.md>. Those on which the safety of ownership
    /// rests cannot be set.
    public var properties: [String: String]

    /// A connection to these brokers in plain text.
    public init(
        brokers: [String] = ["127.0.0.1:9092"], tls: TLS? = nil, sasl: SASL? = nil, clientID: String = "mqlock",
        properties: [String: String] = [:]
    ) {
        self.brokers = brokers
        self.tls = tls
        self.sasl = sasl
        self.clientID = clientID
        self.properties = properties
    }

    /// Encryption. The broker's certificate and name are always verified.
    public struct TLS: Sendable, Equatable {
        /// A PEM file with the authorities to trust; `nil` trusts the system's.
        public var authorities: String?
        /// PEM files of the client's own certificate and key, where the broker wants one.
        public var certificate: String?
        /// See ``certificate``.
        public var key: String?
        /// The key's password; never shown.
        public var keyPassword: String?

        /// Encryption with the system's authorities, or those of a file.
        public init(
            authorities: String? = nil, certificate: String? = nil, key: String? = nil, keyPassword: String? = nil
        ) {
            self.authorities = authorities
            self.certificate = certificate
            self.key = key
            self.keyPassword = keyPassword
        }
    }

    /// Authentication by user and password; other mechanisms go by ``KafkaConnection/properties``.
    public struct SASL: Sendable, Equatable {
        /// How the password is proven.
        public var mechanism: Mechanism
        /// The user.
        public var user: String
        /// The password; never shown.
        public var password: String

        /// A user and its password.
        public init(_ mechanism: Mechanism = .scramSHA512, user: String, password: String) {
            self.mechanism = mechanism
            self.user = user
            self.password = password
        }

        /// A mechanism of SASL.
        public struct Mechanism: Hashable, Sendable {
            /// The mechanism's name in the protocol.
            public let name: String

            /// Any mechanism that takes a user and a password.
            public init(_ name: String) { self.name = name }

            /// The password itself, for encrypted connections only.
            public static let plain = Self("PLAIN")
            /// A challenge, so that the password does not travel.
            public static let scramSHA256 = Self("SCRAM-SHA-256")
            /// The same with a longer hash.
            public static let scramSHA512 = Self("SCRAM-SHA-512")
        }
    }
}

/// The properties of one client. What is set here cannot be overridden from outside.
struct ClientSettings: Sendable {
    let connection: KafkaConnection
    /// What kind of client this is; in the order in which they are set.
    let own: [(name: String, value: String)]

    /// Everything to set, in this order: later ones win.
    func properties() throws(LockError) -> [(name: String, value: String)] {
        var all: [(name: String, value: String)] = [
            ("bootstrap.servers", connection.brokers.joined(separator: ",")),
            ("client.id", connection.clientID),
            // As quick to try again as a lock should be; the library's defaults are made for bulk.
            ("reconnect.backoff.ms", "50"), ("reconnect.backoff.max.ms", "1000"),
            ("socket.keepalive.enable", "true"), ("socket.nagle.disable", "true"),
            ("allow.auto.create.topics", "false"), ("log_level", "5"),
        ]
        guard !connection.brokers.isEmpty, !connection.brokers.contains(where: { $0.isEmpty || $0.contains(",") })
        else {
            throw LockError(.invalidConfiguration, "name the brokers, each as host or host:port")
        }
        let protocols = (connection.tls != nil ? "ssl" : "plaintext", connection.sasl != nil)
        all.append(("security.protocol", protocols.1 ? "sasl_\(protocols.0)" : protocols.0))
        if let tls = connection.tls {
            if let file = tls.authorities { all.append(("ssl.ca.location", file)) }
            if let file = tls.certificate { all.append(("ssl.certificate.location", file)) }
            if let file = tls.key { all.append(("ssl.key.location", file)) }
            if let password = tls.keyPassword { all.append(("ssl.key.password", password)) }
        }
        if let sasl = connection.sasl {
            all += [
                ("sasl.mechanism", sasl.mechanism.name), ("sasl.username", sasl.user), ("sasl.password", sasl.password),
            ]
        }
        for (name, value) in connection.properties.sorted(by: { $0.key < $1.key }) {
            guard !Self.reserved.contains(name) else {
                throw LockError(
                    .invalidConfiguration,
                    "the librdkafka property \(name.escapedForDisplay) cannot be set: the safety of locks rests on it")
            }
            all.append((name, value))
        }
        return all + own
    }

    /// Properties that the protocol chooses; see the article *Sharded ownership*.
    static let reserved: Set<String> = [
        "bootstrap.servers", "metadata.broker.list", "group.id", "group.instance.id", "group.protocol",
        "session.timeout.ms", "heartbeat.interval.ms", "max.poll.interval.ms", "partition.assignment.strategy",
        "enable.auto.commit", "auto.commit.enable", "enable.auto.offset.store", "enable.partition.eof",
        "isolation.level", "auto.offset.reset", "topic.metadata.refresh.interval.ms", "transactional.id",
        "transaction.timeout.ms", "enable.idempotence",
        "enable.gapless.guarantee", "acks", "request.required.acks", "test.mock.num.brokers",
    ]
}
