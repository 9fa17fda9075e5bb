import MQLock
import MQLockKafka
import Testing

@testable import MQLockTool

@Suite("Kafka URIs")
struct KafkaURITests {
    private typealias Change = @Sendable (inout KafkaURI) -> Void

    /// What the plainest URI means.
    private static func plain(_ change: Change = { _ in }) -> KafkaURI {
        var uri = try! KafkaURI("kafka://h:1/t")
        change(&uri)
        return uri
    }

    @Test("the plainest one")
    func plainest() {
        let uri = Self.plain()
        #expect(uri.connection == KafkaConnection(brokers: ["h:1"]))
        #expect(uri.topic == "t")
        #expect(uri.partitions == nil && uri.session == nil && uri.drain == nil)
    }

    @Test(
        "what is taken, and what it means",
        arguments: [
            ("KAFKA://h:1/t", plain()),
            ("kafka://h:1", plain { $0.topic = nil }),
            ("kafka://h:1/", plain { $0.topic = nil }),
            ("kafka://h/t", plain { $0.connection.brokers = ["h:9092"] }),
            ("kafka:///t", plain { $0.connection.brokers = ["127.0.0.1:9092"] }),
            (
                "kafka://a:1,b,[::1]:3,[::1]/t",
                plain { $0.connection.brokers = ["a:1", "b:9092", "[::1]:3", "[::1]:9092"] }
            ),
            ("kafka://h:1/a%2Eb_c-D", plain { $0.topic = "a.b_c-D" }),
            ("kafka://h:1/t?session=6s", plain { $0.session = .seconds(6) }),
            ("kafka://h:1/t?mutex=log", plain { $0.mutex = .log }),
            ("kafka://h:1/t?mutex=shards", plain { $0.mutex = .shards }),
            (
                "kafka://h:1/t?session=1500ms&drain=0",
                plain {
                    $0.session = .milliseconds(1500)
                    $0.drain = .zero
                }
            ),
            ("kafka://h:1/t?partitions=12", plain { $0.partitions = 12 }),
            (
                "kafka://h:1/t?claims=acknowledged&lead=48h",
                plain { ($0.claims, $0.lead) = (.acknowledged, .seconds(172_800)) }
            ),
            ("kafka://h:1/t?claims=transactional", plain { $0.claims = .transactional }),
            (
                "kafka://h:1/t?records=orders&group=billing%2F1&partitioner=consistent_random",
                plain { ($0.records, $0.group, $0.partitioner) = ("orders", "billing/1", .consistentRandom) }
            ),
            ("kafka://h:1/t?partitioner=murmur2", plain { $0.partitioner = .murmur2 }),
            ("kafka://h:1/t?tls=true", plain { $0.connection.tls = .init() }),
            ("kafka://h:1/t?tls=false", plain()),
            ("kafka://h:1/t?insecure=true&tls=true", plain { $0.connection.tls = .init(insecure: true) }),
            ("kafka://h:1/t?tls=true&insecure=false", plain { $0.connection.tls = .init() }),
            ("kafka://h:1/t?cacertfile=/a%20b", plain { $0.connection.tls = .init(authorities: "/a b") }),
            ("kafka://h:1/t?certfile=c&keyfile=k", plain { $0.connection.tls = .init(certificate: "c", key: "k") }),
            ("kafka://u:p%40%3a@h:1/t", plain { $0.connection.sasl = .init(user: "u", password: "p@:") }),
            (
                "kafka://u:a:b@h:1/t?auth_mechanism=plain",
                plain {
                    $0.connection.sasl = .init(.plain, user: "u", password: "a:b")
                }
            ),
            (
                "kafka://u:p@h:1/t?auth_mechanism=SCRAM-SHA-256",
                plain {
                    $0.connection.sasl = .init(.scramSHA256, user: "u", password: "p")
                }
            ),
            (
                "kafka://h:1/t?client.rack=r&socket.timeout.ms=1",
                plain {
                    $0.connection.properties = ["client.rack": "r", "socket.timeout.ms": "1"]
                }
            ),
        ])
    func taken(text: String, expected: KafkaURI) throws { #expect(try KafkaURI(text) == expected) }

    @Test(
        "what is refused, and what the message says",
        arguments: [
            ("amqp://h", "kafka://host:9092"),
            ("kafka://h:1/t#x", "%23"),
            ("kafka://h:1/a b", "percent-encode"),
            ("kafka://h:1/é", "percent-encode"),
            ("kafka://h:1/%zz", "%25"),
            ("kafka://h:1/a%00b", "%25"),
            ("kafka://h:1/a%20b", "letters, digits"),
            ("kafka://h:1/a/b", "letters, digits"),
            ("kafka://h:1/..", "letters, digits"),
            ("kafka://h:1/" + String(repeating: "x", count: 201), "1 to 200"),
            ("kafka://h:0/t", "1 to 65535"), ("kafka://h:65536/t", "1 to 65535"), ("kafka://h:x/t", "1 to 65535"),
            ("kafka://h:/t", "1 to 65535"),
            ("kafka://a:1,,b:1/t", "empty"), ("kafka://:1/t", "empty"), ("kafka://a:1,/t", "empty"),
            ("kafka://::1:1/t", "[ ]"), ("kafka://[h]:1/t", "IPv6"), ("kafka://[::1]x/t", ":port"),
            ("kafka://u:secret@x@h:1/t", "%40"), ("kafka://u@h:1/t", "user:password"),
            ("kafka://:secret@h:1/t", "user:password"), ("kafka://u:sec/ret@h:1/t", "%2f"),
            ("kafka://u:sec?ret@h:1/t", "%3f"),
            ("kafka://h:1/t?session=soon", DurationText.accepted), ("kafka://h:1/t?drain=-1s", DurationText.accepted),
            ("kafka://h:1/t?mutex=sac", "log or shards"), ("kafka://h:1/t?partitions=0", "1 to 100000"),
            ("kafka://h:1/t?partitions=x", "1 to 100000"),
            ("kafka://h:1/t?partitions=100001", "1 to 100000"),
            ("kafka://h:1/t?sesion=6s", "did you mean session"), ("kafka://h:1/t?xyzzy=1", "librdkafka"),
            ("kafka://h:1/t?session=6s&session=7s", "twice"),
            ("kafka://h:1/t?tls=yes", "true or false"), ("kafka://h:1/t?tls=false&cacertfile=f", "exclude"),
            ("kafka://h:1/t?insecure=true", "tls=true"), ("kafka://h:1/t?tls=true&insecure=1", "true or false"),
            ("kafka://h:1/t?cacertfile=", "empty"), ("kafka://h:1/t?certfile=c", "belong together"),
            ("kafka://h:1/t?auth_mechanism=plain", "user"),
            ("kafka://u:secret@h:1/t?auth_mechanism=gssapi", "scram-sha-512"),
        ])
    func refused(text: String, phrase: String) {
        let error = #expect(throws: CommandFailure.self) { try KafkaURI(text) }
        #expect(error?.status == 64)
        #expect(error?.message.contains(phrase) == true, "\(error?.message ?? "")")
        #expect(error?.message.contains("secret") == false && error?.message.contains("ret@") == false)
    }

    @Test("what shares out shards needs a topic, and takes the options")
    func ownership() throws {
        #expect(throws: CommandFailure.self) { try KafkaURI("kafka://h:1").ownership(partitions: 4) }
        let configuration = try KafkaURI("kafka://h:1/t?session=6s&drain=1s").ownership(partitions: 4)
        #expect(configuration.topic == "t" && configuration.partitions == 4)
        #expect(configuration.session == .seconds(6) && configuration.drainTimeout == .seconds(1))
        let standard = try KafkaURI("kafka://h:1/t").ownership(partitions: 4)
        #expect(standard.session == ShardOwnership.Configuration(topic: "t", partitions: 4).session)
    }

    @Test("what is of shards alone is no option of locks, and a URI of one kind is none of the other")
    func locks() throws {
        #expect(throws: CommandFailure.self) { try KafkaURI("kafka://h:1").locks() }
        let configuration = try KafkaURI("kafka://h:1/t?session=6s&drain=1s&partitions=3&mutex=log").locks()
        #expect(configuration.topic == "t" && configuration.partitions == 3)
        #expect(configuration.ttl == .seconds(6) && configuration.drainTimeout == .seconds(1))
        let standard = try KafkaURI("kafka://h:1/t").locks()
        #expect(standard.ttl == KafkaLocks.Configuration(topic: "t").ttl && standard.partitions == 1)
        for option in [
            "claims=transactional", "lead=1h", "records=r", "group=g", "partitioner=murmur2", "mutex=shards",
            "session=999ms", "session=601s",
        ] {
            let failure = #expect(throws: CommandFailure.self) { try KafkaURI("kafka://h:1/t?\(option)").locks() }
            #expect(failure?.status == 64, "\(option)")
            #expect(failure?.message.contains(option.prefix { $0 != "=" }) == true)
        }
        for option in ["session=1s", "session=10m"] { _ = try KafkaURI("kafka://h:1/t?\(option)").locks() }
        #expect(throws: CommandFailure.self) { try KafkaURI("kafka://h:1/t?mutex=log").ownership(partitions: 1) }
    }

    @Test("a property on which the safety of ownership rests cannot be set")
    func reserved() throws {
        let configuration = try KafkaURI("kafka://h:1/t?session.timeout.ms=1").ownership(partitions: 4)
        let error = #expect(throws: LockError.self) { try ShardOwnership(configuration) }
        #expect(error?.code == .invalidConfiguration)
    }
}
