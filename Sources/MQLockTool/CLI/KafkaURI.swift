import Foundation
import MQLock
import MQLockKafka

/// The parts of `kafka://user:password@host:port,host:port/topic?session=20s`.
///
/// No error quotes a part of the URI that can contain a password.
struct KafkaURI: Equatable, Sendable {
    /// What protects names.
    enum Mutex: String, CaseIterable {
        /// A log that all contenders read: the locks of ``KafkaLocks``.
        case log
        /// The ownership of the shard that the name belongs to.
        case shards
    }

    var connection: KafkaConnection
    /// The lock topic, if the URI names one.
    var topic: String?
    /// The log, unless the URI says otherwise.
    var mutex: Mutex?
    var partitions: Int?
    var session: Duration?
    var drain: Duration?
    var claims: ClaimMethod?
    /// How far ahead of the clock a number may be.
    var lead: Duration?
    /// The service's own topic, and its group.
    var records: String?
    var group: String?
    var partitioner: Partitioner?

    static let scheme = "kafka://"
    static let example = "kafka://host:9092,host:9092/topic"

    /// - Throws: a usage failure that says how to write it.
    init(_ text: String) throws(CommandFailure) {
        guard text.prefix(Self.scheme.count).lowercased() == Self.scheme else {
            throw Self.failure("it looks like \(Self.example)")
        }
        var rest = text.dropFirst(Self.scheme.count)
        guard !rest.contains("#") else { throw Self.failure("it has no use for a fragment; write # as %23") }
        guard rest.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
            throw Self.failure("it contains a blank, a control character or one outside ASCII; percent-encode it")
        }
        // A URI may have it there. But a password with a / or ? in it ends there for us, and the rest would be shown.
        let authority = rest.prefix { $0 != "/" && $0 != "?" }
        guard !rest[authority.endIndex...].contains("@") else {
            throw Self.failure(
                "behind the brokers an @ has to be written as %40 (in user and password, / as %2f and ? as %3f)")
        }
        let query = Self.cut(&rest, at: "?")
        let path = Self.cut(&rest, at: "/")
        connection = KafkaConnection()
        try readAuthority(rest)
        if let path { topic = try Self.topic(path) }
        try readQuery(query ?? "")
    }

    /// The topic, which nearly every command needs.
    func namedTopic() throws(CommandFailure) -> String {
        guard let topic else {
            throw Self.failure("it names no lock topic; write it behind the brokers: \(Self.example)")
        }
        return topic
    }

    /// The shards of the named topic, with the URI's values, and defaults for the rest.
    func ownership(partitions: Int) throws(CommandFailure) -> ShardOwnership.Configuration {
        guard mutex != .log else { throw Self.failure("with mutex=log it names no shards") }
        var configuration = ShardOwnership.Configuration(
            connection: connection, topic: try namedTopic(), partitions: partitions)
        if let session { configuration.session = session }
        if let drain { configuration.drainTimeout = drain }
        if let claims { configuration.claims = claims }
        if let lead { configuration.toleratedLead = lead }
        if let partitioner { configuration.partitioner = partitioner }
        (configuration.records, configuration.group) = (records, group)
        return configuration
    }

    /// Locks on names in the named topic.
    func locks() throws(CommandFailure) -> KafkaLocks.Configuration {
        guard mutex != .shards else {
            throw Self.failure(
                "with mutex=shards it is for mqlock shards, elect and doctor: this command knows the locks of a log")
        }
        let others: [(String, Bool)] = [
            ("claims", claims != nil), ("lead", lead != nil), ("records", records != nil), ("group", group != nil),
            ("partitioner", partitioner != nil),
        ]
        if let other = others.first(where: \.1) {
            throw Self.failure("\(other.0) is an option of shards; say mutex=shards if they are meant")
        }
        if let session, !KafkaLocks.Configuration.ttls.contains(session) {
            throw Self.failure("session can be from 1 s to 10 min for locks, not \(session.readable)")
        }
        var configuration = KafkaLocks.Configuration(connection: connection, topic: try namedTopic())
        if let partitions { configuration.partitions = partitions }
        if let session { configuration.ttl = session }
        if let drain { configuration.drainTimeout = drain }
        return configuration
    }

    // MARK: Brokers and user

    private mutating func readAuthority(_ text: Substring) throws(CommandFailure) {
        var brokers = text
        if let at = text.lastIndex(of: "@") {
            var user = text[..<at]
            brokers = text[text.index(after: at)...]
            guard !user.contains("@") else {
                throw Self.failure("there is more than one @; write an @ in user or password as %40")
            }
            guard let password = Self.cut(&user, at: ":"), !user.isEmpty else {
                throw Self.failure("before the @ stands user:password")
            }
            connection.sasl = .init(
                user: try Self.decoded(user, "user"), password: try Self.decoded(password, "password"))
        }
        // As with amqp://, no host means this one.
        guard !brokers.isEmpty else { return }
        connection.brokers = []
        for broker in brokers.split(separator: ",", omittingEmptySubsequences: false) {
            connection.brokers.append(try Self.broker(broker))
        }
    }

    private static func broker(_ text: Substring) throws(CommandFailure) -> String {
        var host = text
        var port: Substring?
        if text.first == "[" {
            guard let end = text.firstIndex(of: "]"), text[..<end].contains(":") else {
                throw failure("between [ and ] there has to be an IPv6 address")
            }
            host = text[...end]
            let rest = text[text.index(after: end)...]
            guard rest.isEmpty || rest.first == ":" else { throw failure("only :port can follow the ]") }
            port = rest.isEmpty ? nil : rest.dropFirst()
        } else {
            port = cut(&host, at: ":")
            guard port?.contains(":") != true else {
                throw failure("an IPv6 address has to stand in [ ], and a / or ? in a password as %2f or %3f")
            }
            guard !host.isEmpty, host.utf8.allSatisfy(isOfHost) else {
                throw failure("name the brokers as host:port,host:port; there is an empty or impossible one")
            }
        }
        if let port {
            guard port.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let number = UInt16(port), number > 0 else {
                throw failure(
                    "a port is not a number from 1 to 65535 (in user and password, write / as %2f and ? as %3f)")
            }
        }
        return "\(host):\(port ?? "9092")"
    }

    private static func isOfHost(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"):
            true
        default: false
        }
    }

    /// What Kafka accepts as a name. A longer one than the group's name has room for is refused.
    private static func topic(_ path: Substring) throws(CommandFailure) -> String? {
        let topic = try decoded(path, "topic")
        guard !topic.isEmpty else { return nil }
        guard topic.utf8.count <= 200, topic != ".", topic != "..", topic.utf8.allSatisfy(isOfHost) else {
            throw failure("the name of a topic is 1 to 200 letters, digits, '.', '_' and '-'")
        }
        return topic
    }

    // MARK: Options

    private mutating func readQuery(_ query: Substring) throws(CommandFailure) {
        var seen: Set<String> = []
        var tls = KafkaConnection.TLS()
        var wantsTLS: Bool?
        var hasFiles = false
        for item in query.split(separator: "&") {
            var name = item
            let text = Self.cut(&name, at: "=") ?? ""
            let key = try Self.decoded(name, "query")
            let value = try Self.decoded(text, "option \(key.escapedForDisplay)")
            guard seen.insert(key).inserted else {
                throw Self.failure("the option \(key.escapedForDisplay) is given twice")
            }
            switch key {
            case "session": session = try Self.duration(value, key)
            case "drain": drain = try Self.duration(value, key)
            case "lead": lead = try Self.duration(value, key)
            case "claims": claims = try Self.choice(value, key, [.transactional, .acknowledged])
            case "partitioner": partitioner = try Self.choice(value, key, Partitioner.all)
            case "records": records = try Self.topic(value[...])
            case "group":
                guard !value.isEmpty, value.utf8.count <= 200 else { throw Self.failure("group needs 1 to 200 bytes") }
                group = value
            case "partitions": partitions = try Self.partitions(value)
            case "mutex":
                guard let choice = Mutex(rawValue: value) else {
                    throw Self.failure("mutex can be \(Mutex.allCases.map(\.rawValue).joined(separator: " or "))")
                }
                mutex = choice
            case "tls":
                guard ["true", "false"].contains(value) else { throw Self.failure("tls can be true or false") }
                wantsTLS = value == "true"
            case "insecure":
                guard ["true", "false"].contains(value) else { throw Self.failure("insecure can be true or false") }
                tls.insecure = value == "true"
            case "cacertfile": (tls.authorities, hasFiles) = (try Self.file(value, key), true)
            case "certfile": (tls.certificate, hasFiles) = (try Self.file(value, key), true)
            case "keyfile": (tls.key, hasFiles) = (try Self.file(value, key), true)
            case "auth_mechanism":
                guard connection.sasl != nil else {
                    throw Self.failure("auth_mechanism needs a user and a password: kafka://user:password@host:9092")
                }
                connection.sasl?.mechanism = try Self.mechanism(value)
            default:
                // The properties of librdkafka have dots in their names; our options have none.
                guard key.contains(".") else { throw Self.unknown(key) }
                connection.properties[key] = value
            }
        }
        guard !hasFiles || wantsTLS != false else {
            throw Self.failure("certificates and tls=false exclude each other")
        }
        guard !tls.insecure || hasFiles || wantsTLS == true else {
            throw Self.failure("insecure=true makes sense with tls=true only")
        }
        guard (tls.certificate == nil) == (tls.key == nil) else {
            throw Self.failure("certfile and keyfile belong together; they may name the same file")
        }
        if hasFiles || wantsTLS == true { connection.tls = tls }
    }

    private static let options = [
        "mutex", "session", "drain", "partitions", "records", "group", "partitioner", "claims", "lead", "tls",
        "insecure",
        "cacertfile", "certfile", "keyfile", "auth_mechanism",
    ]

    private static func unknown(_ key: String) -> CommandFailure {
        // A password with a ? in it would be shown here, so nothing is.
        let hint = Suggestion.nearest(to: key, among: options).map { " (did you mean \($0)?)" } ?? ""
        return failure(
            """
            it has an unknown option\(hint); there are \(options.joined(separator: ", ")), and librdkafka's properties \
            that have a dot in their name
            """)
    }

    private static func duration(_ text: String, _ key: String) throws(CommandFailure) -> Duration {
        guard let duration = DurationText.parse(text) else {
            throw failure("\(key) needs a duration: \(DurationText.accepted)")
        }
        return duration
    }

    private static func choice<Choice: CustomStringConvertible>(
        _ text: String, _ key: String, _ choices: [Choice]
    ) throws(CommandFailure) -> Choice {
        guard let choice = choices.first(where: { $0.description == text }) else {
            throw failure("\(key) can be \(choices.map(\.description).joined(separator: " or "))")
        }
        return choice
    }

    private static func partitions(_ text: String) throws(CommandFailure) -> Int {
        guard text.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let number = Int(text),
            (1...100_000).contains(number)
        else { throw failure("partitions is not a number from 1 to 100000") }
        return number
    }

    private static func file(_ text: String, _ key: String) throws(CommandFailure) -> String {
        guard !text.isEmpty else { throw failure("\(key) is empty") }
        return text
    }

    private static func mechanism(_ text: String) throws(CommandFailure) -> KafkaConnection.SASL.Mechanism {
        let known: [KafkaConnection.SASL.Mechanism] = [.plain, .scramSHA256, .scramSHA512]
        guard let mechanism = known.first(where: { $0.name.lowercased() == text.lowercased() }) else {
            throw failure(
                """
                auth_mechanism can be \(known.map { $0.name.lowercased() }.joined(separator: ", ")); others go by \
                librdkafka's sasl.mechanism
                """)
        }
        return mechanism
    }

    // MARK: Text

    /// Cuts off and returns what follows the first `mark`; nil when there is none.
    private static func cut(_ text: inout Substring, at mark: Character) -> Substring? {
        guard let index = text.firstIndex(of: mark) else { return nil }
        defer { text = text[..<index] }
        return text[text.index(after: index)...]
    }

    private static func decoded(_ text: Substring, _ part: String) throws(CommandFailure) -> String {
        guard let decoded = PercentCoding.uri.decode(text, .lenient), !decoded.utf8.contains(0) else {
            throw failure(
                """
                in the \(part), a % is not followed by two hexadecimal digits, or what they mean is no UTF-8 text; write \
                % itself as %25
                """)
        }
        return decoded
    }

    private static func failure(_ text: String) -> CommandFailure { .usage("invalid Kafka URI: \(text)") }
}
