import MQLock

/// How to reach a Kafka cluster. Neither descriptions nor reflection of it show a password, or a property's value.
public struct KafkaConnection: Sendable, Equatable {
    /// Addresses to begin with, `host` or `host:port`; they lead to the rest of the cluster.
    public var brokers: [String]
    /// Whether and how connections are encrypted; `nil` means plain text.
    public var tls: TLS?
    /// How to authenticate; `nil` means not at all.
    public var sasl: SASL?
    /// The client's name in the brokers' logs and quotas.
    public var clientID: String
    /// Any other property of librdkafka, by its own name:
    /// <https://github.com/confluentinc/librdkafka/blob/master/CONFIGURATION.md>. Properties on which the safety of
    /// ownership or of the connection depends cannot be set, nor can those that the other values here set. Any `sasl.…`
    /// turns authentication on; `ssl.…` needs ``tls``.
    public var properties: [String: String] {
        get { hiddenProperties.values }
        set { hiddenProperties.values = newValue }
    }
    private var hiddenProperties: HiddenProperties

    /// A connection to these brokers in plain text.
    public init(
        brokers: [String] = ["127.0.0.1:9092"], tls: TLS? = nil, sasl: SASL? = nil, clientID: String = "mqlock",
        properties: [String: String] = [:]
    ) {
        self.brokers = brokers
        self.tls = tls
        self.sasl = sasl
        self.clientID = clientID
        hiddenProperties = HiddenProperties(values: properties)
    }

    /// Encryption. The broker's certificate and name are verified.
    public struct TLS: Sendable, Equatable {
        /// A PEM file with the trusted authorities; `nil` trusts the system's.
        public var authorities: String?
        /// PEM files of the client's own certificate and key, if the broker requires one.
        public var certificate: String?
        /// See ``certificate``.
        public var key: String?
        /// The key's password; never shown.
        public var keyPassword: String? {
            get { hiddenKeyPassword?.value }
            set { hiddenKeyPassword = newValue.map { Hidden($0) } }
        }
        private var hiddenKeyPassword: Hidden<String>?
        /// Whether to accept any server, verifying neither certificate nor name. That server learns the password and
        /// can grant locks. Reported by a warning; for tests only.
        public var insecure: Bool

        /// Encryption with the system's authorities, or those of a file.
        public init(
            authorities: String? = nil, certificate: String? = nil, key: String? = nil, keyPassword: String? = nil,
            insecure: Bool = false
        ) {
            self.authorities = authorities
            self.certificate = certificate
            self.key = key
            hiddenKeyPassword = keyPassword.map { Hidden($0) }
            self.insecure = insecure
        }
    }

    /// Authentication by user and password. For other mechanisms use ``KafkaConnection/properties`` instead.
    public struct SASL: Sendable, Equatable {
        /// How the password is proven.
        public var mechanism: Mechanism
        /// The user.
        public var user: String
        /// The password; never shown.
        public var password: String {
            get { hiddenPassword.value }
            set { hiddenPassword.value = newValue }
        }
        private var hiddenPassword: Hidden<String>

        /// A user and its password.
        public init(_ mechanism: Mechanism = .scramSHA512, user: String, password: String) {
            self.mechanism = mechanism
            self.user = user
            hiddenPassword = Hidden(password)
        }

        /// A mechanism of SASL.
        public struct Mechanism: Hashable, Sendable {
            /// The mechanism's name in the protocol.
            public let name: String

            /// Any mechanism that takes a user and a password.
            public init(_ name: String) { self.name = name }

            /// Sends the password itself; for encrypted connections only.
            public static let plain = Self("PLAIN")
            /// A challenge: the password is not sent.
            public static let scramSHA256 = Self("SCRAM-SHA-256")
            /// The same with a longer hash.
            public static let scramSHA512 = Self("SCRAM-SHA-512")
        }
    }
}

/// Properties that show their names only: any value can be a secret.
private struct HiddenProperties: Sendable, Equatable, CustomStringConvertible, CustomDebugStringConvertible,
    CustomReflectable
{
    var values: [String: String]

    var description: String { "\(values.keys.sorted())" }
    var debugDescription: String { description }
    var customMirror: Mirror { Mirror(self, unlabeledChildren: values.keys.sorted(), displayStyle: .set) }
}
