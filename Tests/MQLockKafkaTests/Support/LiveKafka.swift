import CMQLockRdKafka
import Foundation
import MQLock
import Testing

@testable import MQLockKafka

/// A broker that runs, and what tests do with it beside owning shards.
struct LiveKafka: Sendable {
    let brokers: [String]
    var sasl: KafkaConnection.SASL?
    /// The words of the embedded Kafka's control command; nil for a broker that is not ours to break.
    let control: [String]?

    /// The broker that the environment names.
    static let shared: LiveKafka? = ProcessInfo.processInfo.environment["MQLOCK_KAFKA"].map { brokers in
        LiveKafka(
            brokers: brokers.split(separator: ",").map(String.init),
            control: ProcessInfo.processInfo.environment["MQLOCK_KAFKA_CTL"].map { [$0] })
    }

    /// A broker that lets nobody in without a password, as `user:password@host:port`, by SCRAM-SHA-256.
    static let authenticating: LiveKafka? = {
        guard let text = ProcessInfo.processInfo.environment["MQLOCK_KAFKA_SASL"],
            let at = text.lastIndex(of: "@"), let colon = text.firstIndex(of: ":"), colon < at
        else { return nil }
        let password = text[text.index(after: colon)..<at]
        return LiveKafka(
            brokers: [String(text[text.index(after: at)...])],
            sasl: .init(.scramSHA256, user: String(text[..<colon]), password: String(password)), control: nil)
    }()

    /// It neither extends a session on commits, nor fences, nor knows read_committed (BROKER-FACTS.md, section 2).
    static let isMock: Bool = shared?.control != nil

    var connection: KafkaConnection { KafkaConnection(brokers: brokers, sasl: sasl) }

    /// The shortest session that it takes: tests are as quick as their broker allows.
    static let leastSession: Duration = {
        guard let shared, !isMock else { return .seconds(1) }
        guard let handle = try? ClientHandle(.producer, ClientSettings(connection: shared.connection, own: [])),
            let id = try? ClusterMetadata.copies(of: "mqlock-test", handle, within: .seconds(10)).brokers.first,
            let settings = try? ClusterMetadata.settings(of: .broker(id), handle, within: .seconds(10)),
            let least = settings["group.min.session.timeout.ms"].flatMap(Int64.init)
            // What brokers have by default.
        else { return .seconds(6) }
        return .milliseconds(least)
    }()

    /// Whether its topics can be made to tell the time of the broker.
    static let tellsTime: Bool = {
        guard let shared, !isMock,
            let topic = try? shared.makeTopic(partitions: 1, ["message.timestamp.type": "LogAppendTime"]),
            let producer = try? AcknowledgedProducer(shared.connection, timeout: .seconds(10)),
            (try? producer.produce([.warmUp(topic)], within: .seconds(10))) != nil
        else { return false }
        return producer.brokerTime != nil
    }()

    /// A session of that length, or of the least that the broker takes.
    static func session(_ wanted: Duration) -> Duration { max(wanted, leastSession) }

    /// Sends a line to the embedded Kafka.
    func fault(_ words: String...) throws {
        let control = try #require(control)
        // Not Foundation's `Process`, whose waiting for the end has been seen to hang on Linux.
        var argv = (control + words).map { strdup($0) } + [nil]
        defer { for argument in argv { free(argument) } }
        var pid: pid_t = 0
        try #require(posix_spawn(&pid, control[0], nil, nil, &argv, environ) == 0)
        var status: Int32 = 0
        // A broker that does not answer is not to hang the test.
        let deadline = ContinuousClock.now.advanced(by: .seconds(30))
        while waitpid(pid, &status, WNOHANG) != pid {
            if ContinuousClock.now > deadline { kill(pid, SIGKILL) }
            usleep(500)
        }
        try #require(status == 0, "\(words)")
    }

    /// The name of a topic that does not exist. The embedded Kafka makes whatever is asked for, and has to be told.
    func nameNoTopic() throws -> String {
        let topic = "mqlock-no-such-topic-\(UInt64.random(in: 0 ... .max))"
        if control != nil { try fault("topic-error", topic, "UNKNOWN_TOPIC_OR_PART") }
        return topic
    }

    /// A topic that nobody else uses.
    /// - Parameter settings: its own, where it can have any.
    func makeTopic(partitions: Int, _ settings: [String: String] = [:]) throws -> String {
        let topic = "mqlock-test-\(UInt64.random(in: 0 ... .max))"
        try create(topic, partitions: partitions, settings)
        return topic
    }

    func create(_ topic: String, partitions: Int, _ settings: [String: String] = [:]) throws {
        guard control == nil else { return try fault("topic", "\(topic):\(partitions)") }
        let handle = try ClientHandle(.producer, ClientSettings(connection: connection, own: []))
        try ClusterMetadata.createTopic(
            topic, partitions: partitions, replicas: 1,
            settings: ["cleanup.policy": "compact"].merging(settings) { $1 }, handle, within: .seconds(10))
    }

    /// Of a broker that has such requests.
    func deleteTopic(_ topic: String) throws {
        let handle = try ClientHandle(.producer, ClientSettings(connection: connection, own: []))
        var request = rd_kafka_DeleteTopic_new(topic)
        defer { rd_kafka_DeleteTopic_destroy(request) }
        try ClusterMetadata.administer(RD_KAFKA_ADMIN_OP_DELETETOPICS, handle, within: .seconds(10)) { options, queue in
            rd_kafka_DeleteTopics(handle.raw, &request, 1, options, queue)
        } read: { _ in
        }
    }
}

/// Against a real Kafka protocol. Side by side, for most of it is waiting for the group: each test has a topic and a
/// group of its own, and one that breaks the broker has a broker of its own (``OwnKafka``). What blocks runs ``offPool(_:)``.
@Suite(
    .timeLimit(.minutes(5)),
    .enabled(if: LiveKafka.shared != nil, "needs a broker: brokers/with --kafka -- swift test"))
enum LiveKafkaTests {
    static func broker() throws -> LiveKafka { try #require(LiveKafka.shared) }
}

extension LiveKafka {
    /// What stands in a topic's first partition up to its end, each record as key=value.
    func read(_ topic: String, _ isolation: LogReader.Isolation) throws -> [String] {
        let readers = try ReaderPair(connection, group: topic)
        let reader = isolation == .committed ? readers.committed : readers.uncommitted
        let range = try readers.uncommitted.bounds(topic, 0, within: .seconds(10))
        var values: [String] = []
        try reader.read(topic, [0: range], within: .seconds(30)) {
            values.append("\(String(decoding: $0.key, as: UTF8.self))=\(String(decoding: $0.value, as: UTF8.self))")
        }
        return values
    }
}
