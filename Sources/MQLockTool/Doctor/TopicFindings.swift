import MQLock
import MQLockKafka

/// The checks of every topic, of shards or of locks.
enum TopicFindings {
    /// Of a cluster that has answered.
    static func cluster(_ connection: KafkaConnection) -> [Finding] {
        [.good("cluster", "answers at \(connection.brokers.joined(separator: ","))")]
            + (connection.exposure.map { [.advice("network", $0)] } ?? [])
    }

    /// - Parameter loss: what happens when the only broker with a copy is gone.
    static func replicas(_ setup: KafkaInspector.Setup, _ topic: String, losing loss: String) -> Finding {
        guard setup.replicas < min(setup.brokers, 3) else {
            return .good("replicas", "\(setup.replicas), on \(setup.brokers) brokers")
        }
        return .advice(
            "replicas",
            "\(setup.replicas) of \(setup.brokers) brokers have a copy: give \(topic) 3, or \(loss) with a broker")
    }

    static func election(_ settings: [String: String], _ topic: String, risk: String) -> Finding {
        guard settings["unclean.leader.election.enable"] == "true" else { return .good("unclean election", "off") }
        return .wrong(
            "unclean election", "\(risk): set unclean.leader.election.enable=false on it", ExitStatus.incompatible)
    }

    /// - Parameter record: what should not be lost.
    static func inSync(
        _ settings: [String: String], _ setup: KafkaInspector.Setup, _ topic: String, record: String
    ) -> [Finding] {
        guard let text = settings["min.insync.replicas"], let number = Int(text), setup.replicas > 2, number < 2 else {
            return []
        }
        return [
            .advice(
                "min.insync.replicas",
                "\(number): \(record) may be on one broker only when it is confirmed; set 2 on \(topic)")
        ]
    }

    /// Many users may not read settings. That does not mean that locks fail.
    static func unseen(_ subject: String, _ error: KafkaInspector.Unseen) -> Finding {
        .advice(subject, "not looked at: \(error.reason)")
    }
}

/// The creation of a missing topic.
struct TopicCreation: Sendable {
    let topic: String
    let partitions: Int?
    /// Its settings, besides those that follow from the number of replicas.
    let settings: [String: String]

    /// - Returns: how many partitions it has; nil when there is no topic, which has been reported.
    func create(_ inspector: KafkaInspector, _ tell: (Finding) -> Void) async -> Int? {
        guard let partitions else {
            tell(.wrong("topic", "to create \(topic), say how many partitions it gets: partitions=N", ExitStatus.usage))
            return nil
        }
        do throws(LockError) {
            let replicas = min(3, max(1, try await inspector.brokerCount()))
            var settings = settings
            if replicas == 3 { settings["min.insync.replicas"] = "2" }
            try await inspector.create(topic, partitions: partitions, replicas: replicas, settings: settings)
            let list = settings.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }.joined(separator: ", ")
            tell(.good("topic", "created \(topic), partitions \(partitions), replicas \(replicas): \(list)"))
            return partitions
        } catch {
            tell(.wrong("topic", "\(topic) could not be created: \(error.message)", ExitStatus.of(error)))
            return nil
        }
    }
}
