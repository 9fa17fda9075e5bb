import Foundation
import MQLock
import MQLockKafka
import Testing

@testable import MQLockTool

@Suite("what the doctor judges")
struct DoctorTests {
    private typealias Unseen = KafkaInspector.Unseen

    @Test(
        "versions of RabbitMQ",
        arguments: [
            (String?("3.10.0"), Finding.Level.good), ("3.13.7+2", .good), ("4.0.0-rc.1", .good), ("10.0", .good),
            ("4.2.9", .good), ("4.3.0", .advice), ("4.3.5", .advice), ("4.3.6", .good),
            ("3.9.29", .wrong), ("2.11.0", .wrong), ("nonsense", .wrong), (nil, .advice),
        ])
    func versions(version: String?, level: Finding.Level) {
        #expect(RabbitMQDoctor.judge(version: version, at: "h:1").level == level)
    }

    @Test("policies, whatever they set")
    func policies() {
        typealias Policy = ManagementAPI.Policy
        func judge(_ policies: [Policy]) -> Finding.Level {
            RabbitMQDoctor.judge(policies, queue: "mqlock.v1/name").level
        }
        let harmful = [
            ("message-ttl", "3600000"), ("expires", "86400000"), ("delivery-limit", "1000"), ("max-length", "0"),
            ("max-length-bytes", "1"), ("delayed-retry-type", "all"),
        ]
        let shield = Policy(
            name: "s", pattern: #"^mqlock\.v1"#, priority: 1000, definition: ["max-length": "1000000"])
        #expect(judge([]) == .good && judge([shield]) == .good && judge([Policy(name: "n", pattern: "(")]) == .advice)
        for (key, value) in harmful {
            let all = Policy(name: "p", pattern: ".*", definition: [key: value, "queue-mode": "lazy"])
            #expect(
                judge([all]) == .wrong && judge([all, shield]) == .good && judge([shield, all]) == .good, "\(key)")
            for target in ["queues", "quorum_queues", "classic_queues", "streams", "exchanges"] {
                let policy = Policy(name: "p", pattern: "v1", target: target, definition: all.definition)
                #expect((judge([policy]) == .wrong) == ["queues", "quorum_queues"].contains(target), "\(target)")
            }
            #expect(judge([Policy(name: "p", pattern: "^other", definition: all.definition)]) == .good)
        }
    }

    @Test("partitions")
    func partitions() {
        #expect(ShardDoctor.judge(partitions: 4, configured: 4, "t").level == .good)
        #expect(ShardDoctor.judge(partitions: 4, configured: nil, "t").level == .good)
        let wrong = ShardDoctor.judge(partitions: 4, configured: 3, "t")
        #expect(wrong.level == .wrong && wrong.status == 78)
    }

    /// The subjects that are not good, with their levels.
    private func complaints(
        brokers: Int = 3, replicas: Int = 3, topic: [String: String] = ["cleanup.policy": "compact"],
        broker: [String: String] = [:], session: Duration = .seconds(20)
    ) -> [String: Finding.Level] {
        let setup = KafkaInspector.Setup(
            brokers: brokers, replicas: replicas, topic: .success(topic), broker: .success(broker))
        // Most clusters' topics are made without that.
        let findings = ShardDoctor.judge(setup, "t", session: session).filter {
            $0.level != .good && $0.subject != "clock"
        }
        #expect(findings.allSatisfy { ($0.level == .wrong) == ($0.status != 0) })
        return Dictionary(uniqueKeysWithValues: findings.map { ($0.subject, $0.level) })
    }

    @Test("a topic and its cluster")
    func setup() {
        #expect(complaints() == [:])
        #expect(complaints(brokers: 1, replicas: 1) == [:])
        #expect(complaints(replicas: 2) == ["replicas": .advice])
        for policy in ["delete", "compact,delete"] {
            #expect(complaints(topic: ["cleanup.policy": policy]) == ["cleanup.policy": .wrong])
        }
        #expect(complaints(topic: [:]) == ["cleanup.policy": .wrong])
        let unclean = ["cleanup.policy": "compact", "unclean.leader.election.enable": "true"]
        #expect(complaints(topic: unclean) == ["unclean election": .wrong])
        let weak = ["cleanup.policy": "compact", "min.insync.replicas": "1"]
        #expect(complaints(topic: weak) == ["min.insync.replicas": .advice])
        #expect(complaints(brokers: 1, replicas: 1, topic: weak) == [:])
        let bounds = ["group.min.session.timeout.ms": "6000", "group.max.session.timeout.ms": "1800000"]
        #expect(complaints(brokers: 1, replicas: 1, broker: bounds, session: .seconds(6)) == [:])
        // What outlives the crash of a broker is no matter of the limits.
        #expect(complaints(broker: bounds, session: .seconds(6)) == ["broker crash": .advice])
        #expect(
            complaints(brokers: 1, replicas: 1, broker: bounds, session: .milliseconds(5999)) == ["session": .wrong])
        #expect(complaints(broker: bounds, session: .seconds(1801)) == ["session": .wrong])
    }

    @Test("a clock that a topic shows, and one that it does not")
    func clock() {
        for (type, level) in [("LogAppendTime", Finding.Level.good), ("CreateTime", .advice)] {
            let setup = KafkaInspector.Setup(
                brokers: 3, replicas: 3, topic: .success(["message.timestamp.type": type]), broker: .success([:]))
            let finding = ShardDoctor.judge(setup, "t", session: .seconds(20)).first { $0.subject == "clock" }
            #expect(finding?.level == level)
        }
    }

    @Test("by which partitioner records were written")
    func partitioner() {
        func judge(_ writers: [Partitioner], _ configured: Partitioner, keys: Int = 50) -> Finding {
            var spread = KafkaInspector.Spread()
            for number in 0..<keys {
                let key = Array("order-\(number)".utf8)
                let writer = writers[number % writers.count]
                spread.add(key: key, partition: Int(writer.partition(of: key, count: 12)), of: 12)
                spread.add(key: [], partition: number % 12, of: 12)
            }
            return ShardDoctor.judge(spread, configured: configured, "t")
        }
        for (one, other) in [(Partitioner.murmur2, Partitioner.consistentRandom), (.consistentRandom, .murmur2)] {
            #expect(judge([one], one).level == .good)
            let wrong = judge([one], other)
            #expect(wrong.level == .wrong && wrong.status == 78 && wrong.text.contains("partitioner=\(one)"))
            #expect(judge([one, other], one).level == .wrong)
            #expect(judge([one], one, keys: 0).level == .advice)
        }
    }

    @Test("settings that may not be looked at are no fault")
    func unseen() {
        let setup = KafkaInspector.Setup(
            brokers: 1, replicas: 1, topic: .failure(Unseen(reason: "no right")),
            broker: .failure(Unseen(reason: "no right")))
        let findings = ShardDoctor.judge(setup, "t", session: .seconds(20))
        #expect(findings.count { $0.level == .advice && $0.text.contains("no right") } == 2)
        #expect(findings.allSatisfy { $0.level != .wrong })
    }

    @Test("bad usage, and brokers that are not there")
    func refused() async throws {
        for (options, status) in [
            (["x"], 64), (["--", "true"], 64), (["--broker", "redis://h"], 64), (["--broker", "kafka://h:1"], 64),
            (["--broker", "kafka://h:1/t?session=1ms"], 64),
            (["--broker", "kafka://h:1/t?mutex=shards&session=1ms"], 64),
            (["--broker", "kafka://h:1/t", "--management", "http://h"], 64),
            (["--broker", "amqp://127.0.0.1:1", "--create"], 64), (["--broker", "amqp://127.0.0.1:1"], 69),
        ] {
            #expect(try await TestProcess.run(["doctor"] + options).status == Int32(status), "\(options)")
        }
        let uri = try KafkaURI("kafka://127.0.0.1:1/t")
        let quiet = Output(standardOutput: { _ in }, standardError: { _ in })
        for mutex in [nil] + KafkaURI.Mutex.allCases {
            var uri = uri
            uri.mutex = mutex
            #expect(await DoctorCommand.examine(.kafka(uri), patience: .milliseconds(200), json: false, quiet) == 69)
        }
    }
}

/// A line of `--json`.
private struct Line: Decodable {
    let event: String
    let subject: String
    let message: String
    let status: Int32?

    static func all(_ text: String) throws -> [Line] {
        try text.split(separator: "\n").map { try JSONDecoder().decode(Line.self, from: Data($0.utf8)) }
    }
}

@Suite("mqlock doctor on RabbitMQ", .timeLimit(.minutes(1)), .enabled(if: Broker.uri != nil, Broker.reason))
struct RabbitMQDoctorTests {
    @Test("a broker that is well, and nothing is left there")
    func well() async throws {
        let result = try await TestProcess.run(["doctor", "--json", "--broker", required(Broker.uri)])
        let lines = try Line.all(result.output)
        #expect(result.status == 0)
        #expect(
            lines.map(\.subject) == [
                "broker", "mutex sac", "mutex token", "returns", "mutex exclusive", "stays", "queues",
            ],
            "\(result.output)")
        #expect(lines.allSatisfy { $0.event == "good" && $0.status == nil }, "\(result.output)")
        guard let control = Broker.control else { return }
        let queues = await (try TestProcess(control, [control, "-q", "list_queues", "name"])).result()
        #expect(queues.status == 0 && !queues.output.contains("mqlock-doctor"), "\(queues.output)")
    }

    /// The broker does what a policy says, whatever the queue's arguments are; unless another one is above it.
    @Test(
        "policies that drop or hold back a lock's message, and the one that keeps them away",
        .enabled(if: Broker.control != nil, Broker.reason),
        arguments: [
            (#"{"delivery-limit":3}"#, "returns"),
            (#"{"delayed-retry-type":"all","delayed-retry-min":1500}"#, "returns"),
            (#"{"message-ttl":2000}"#, "stays"), (#"{"expires":2000}"#, "stays"),
        ])
    func policy(_ policy: String, finding: String) async throws {
        let (control, vhost) = (try required(Broker.control), "doctor-\(UUID().uuidString)")
        func ctl(_ arguments: String...) async throws -> TestProcess.Result {
            await (try TestProcess(control, [control, "-q"] + arguments)).result()
        }
        func doctor() async throws -> TestProcess.Result {
            try await TestProcess.run(["doctor", "--json", "--broker", Broker.changed { $0.path = "/\(vhost)" }])
        }
        #expect(try await ctl("add_vhost", vhost).status == 0)
        #expect(try await ctl("set_permissions", "-p", vhost, "guest", ".*", ".*", ".*").status == 0)
        let set = try await ctl("set_policy", "-p", vhost, "p", ".*", policy, "--apply-to", "queues")
        let result = try await doctor()
        // As the doctor prints it, but for this virtual host.
        let shield = RabbitMQDoctor.shield.replacing(
            "rabbitmqctl set_policy", with: "'\(control)' -q set_policy -p \(vhost)")
        let shielding = await (try TestProcess("/bin/sh", ["/bin/sh", "-c", shield])).result()
        let shielded = try await doctor()
        #expect(try await ctl("delete_vhost", vhost).status == 0)
        #expect(shielding.status == 0 && shielded.status == 0, "\(shielding.output)\(shielded.output)")
        // Before 4.3 there is no such policy.
        guard set.status == 0 || !policy.contains("delayed") else {
            #expect(result.status == 0)
            return
        }
        let wrong = try Line.all(result.output).filter { $0.event == "wrong" }
        #expect(result.status == 78 && wrong.map(\.subject) == [finding], "\(result.output)")
    }

    @Test("a wrong password")
    func refused() async throws {
        let broker = try Broker.changed { $0.password = "wrong" }
        let result = try await TestProcess.run(["doctor", "--broker", broker])
        #expect(result.status == 77)
        #expect(result.output.hasPrefix("WRONG"))
    }
}

@Suite(
    "mqlock doctor on Kafka", .timeLimit(.minutes(1)),
    .enabled(if: PrivateKafka.isWanted, PrivateKafka.reason))
struct KafkaDoctorTests {
    @Test("brokers without transactions, and what else keeps them from being begun")
    func transactions() async throws {
        let kafka = try await PrivateKafka("locks:4", "orders:4", "other:3")
        func wrong(_ options: String = "") async throws -> [Line] {
            let result = try await TestProcess.run(
                ["doctor", "--json", "--broker", "kafka://\(kafka.brokers)/locks?mutex=shards&partitions=4\(options)"])
            return try Line.all(result.output).filter { $0.event == "wrong" }
        }
        #expect(try await wrong("&records=orders").isEmpty)
        #expect(try await wrong("&records=other").map(\.subject) == ["records"])
        for (error, status) in [("UNSUPPORTED_VERSION", Int32(78)), ("TRANSACTIONAL_ID_AUTHORIZATION_FAILED", 77)] {
            try await kafka.fault("errors", "InitProducerId", error, "1000")
            let lines = try await wrong()
            #expect(lines.map(\.subject) == ["transactions"] && lines.first?.status == status, "\(error)")
            #expect(try await wrong("&claims=acknowledged").isEmpty)
            try await kafka.fault("errors", "InitProducerId", "clear")
        }
    }

    @Test("what listens there is no Kafka: it says what the library says")
    func noKafka() async throws {
        let result = try await TestProcess.run(["doctor", "--json", "--broker", "kafka://127.0.0.1:1/t"])
        #expect(result.status == 69 && result.output.contains("refused"), "\(result.output)")
    }

    @Test("what a mock can show: the cluster, the topic, its partitions")
    func partitions() async throws {
        let kafka = try await PrivateKafka("locks:4", "names:2")
        try await kafka.fault("topic-error", "nowhere", "UNKNOWN_TOPIC_OR_PART")
        try await kafka.fault("topic-error", "secret", "TOPIC_AUTHORIZATION_FAILED")
        for (topic, status, wrong) in [
            ("locks?mutex=shards&partitions=4", 0, nil),
            ("locks?mutex=shards&partitions=3", 78, "partitions"), ("nowhere?mutex=shards", 78, "topic"),
            ("secret?mutex=shards", 77, "cluster"), ("nowhere", 78, "topic"), ("secret", 77, "cluster"),
            ("names", 0, nil), ("names?partitions=3", 78, "partitions"),
        ] {
            let result = try await TestProcess.run(
                ["doctor", "--json", "--broker", "kafka://\(kafka.brokers)/\(topic)"])
            let lines = try Line.all(result.output)
            #expect(result.status == Int32(status), "\(result.output)")
            #expect(lines.first { $0.event == "wrong" }?.subject == wrong, "\(result.output)")
            #expect(lines.first { $0.event == "wrong" }?.status == (status == 0 ? nil : Int32(status)))
        }
    }
}
