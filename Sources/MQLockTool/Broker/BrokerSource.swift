import MQLock

/// Where the broker's URI comes from, according to the command line.
enum BrokerSource: Equatable {
    case uri(String)
    case file(String)
    /// `MQLOCK_BROKER`, else the default.
    case environment

    static let variable = "MQLOCK_BROKER"
    static let defaultURI = "amqp://127.0.0.1:5672"

    /// What a command finds instead of a URI that is withheld from it: no URI, so nothing can use it as one.
    static let withheld = "withheld-by-mqlock"

    /// Whether a URI may contain a password: a user's, or one in its options.
    static func holdsSecret(_ uri: String) -> Bool {
        let text = uri.lowercased()
        return text.contains("@") || ["password", "secret", "pem", "oauth", "jaas"].contains { text.contains($0) }
    }
}

extension BrokerSource {
    init(_ words: ReadArguments, _ descriptor: CommandDescriptor) throws(CommandFailure) {
        switch (words.values[.broker], words.values[.brokerFile]) {
        case (nil, nil): self = .environment
        case (let uri?, nil): self = .uri(uri)
        case (nil, let path?): self = .file(path)
        default: throw .usage("--broker and --broker-file exclude each other", descriptor.name)
        }
    }

    /// The chosen broker, with the adapter for its scheme.
    /// - Parameter environment: looks up a variable.
    func resolveAny(environment: (String) -> String?) throws(CommandFailure) -> BrokerURI {
        try named(environment).broker
    }

    /// Its URI as given, for a process of ours, after a check that we can use it.
    func resolveText(environment: (String) -> String?) throws(CommandFailure) -> String {
        let (text, broker, _) = try named(environment)
        if case .kafka(let uri) = broker { _ = try uri.locks() }
        return text
    }

    /// RabbitMQ's URI, for commands that support no other broker.
    func resolve(environment: (String) -> String?) throws(CommandFailure) -> String {
        switch try named(environment) {
        case (_, .rabbitMQ(let uri), _): return uri
        case (_, .kafka, let origin):
            throw .usage(
                """
                the broker of \(origin) is Kafka, where this command has nothing to do: it is for an amqp:// or amqps:// \
                broker
                """)
        }
    }

    /// Kafka's URI, for commands that support no other broker.
    func resolveKafka(environment: (String) -> String?) throws(CommandFailure) -> KafkaURI {
        switch try named(environment) {
        case (_, .kafka(let uri), _): return uri
        case (_, .rabbitMQ, let origin):
            throw .usage(
                """
                the broker of \(origin) is RabbitMQ, which has locks in the place of shards: use mqlock run there, or name \
                a Kafka cluster and a topic, \(KafkaURI.example)
                """)
        }
    }

    /// The broker, and where it was named. No message repeats the URI, which may contain a password.
    private func named(
        _ environment: (String) -> String?
    ) throws(CommandFailure) -> (text: String, broker: BrokerURI, origin: String) {
        let uri: String
        let origin: String
        switch self {
        case .uri(let given): (uri, origin) = (given, "--broker")
        case .file(let path): (uri, origin) = (try BrokerFile.read(path), "--broker-file")
        case .environment:
            // A shell script sets an empty value to say "not set".
            let value = environment(Self.variable).flatMap { $0.isEmpty ? nil : $0 }
            (uri, origin) = (value ?? Self.defaultURI, value == nil ? "the default" : Self.variable)
        }
        guard uri != Self.withheld else {
            throw .usage(
                """
                \(Self.variable) holds a password, and the mqlock that runs this command has withheld it: give that one \
                --pass-broker, or name the broker here, by --broker-file
                """)
        }
        guard let separator = uri.firstRange(of: "://") else {
            throw .usage("the broker of \(origin) is no URI; it looks like \(Self.defaultURI)")
        }
        let scheme = uri[..<separator.lowerBound].lowercased()
        switch scheme {
        case "amqp", "amqps": return (uri, .rabbitMQ(uri), origin)
        case "kafka": return (uri, .kafka(try KafkaURI(uri)), origin)
        default:
            // Text that cannot be a scheme (RFC 3986, 3.1) may be a user and a password.
            let isScheme = scheme.utf8.allSatisfy {
                (0x61...0x7A).contains($0) || (0x30...0x39).contains($0) || "+-.".utf8.contains($0)
            }
            let shown = isScheme ? "'\(scheme.prefix(20))'" : "what stands before ://"
            throw .usage(
                "the broker of \(origin): \(shown) is no broker that we know, use amqp://, amqps:// or kafka://")
        }
    }
}

/// A broker's URI; its scheme has chosen the adapter.
enum BrokerURI: Equatable {
    case rabbitMQ(String)
    case kafka(KafkaURI)
}
