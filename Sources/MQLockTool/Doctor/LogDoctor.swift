import MQLock
import MQLockKafka

/// Checks that locks on a Kafka topic work and are safe: acquires and releases one of its own. Creates the topic if
/// asked to.
struct LogDoctor: Sendable {
    let uri: KafkaURI
    var creates = false
    let patience: Duration
    let tell: @Sendable (Finding) -> Void

    func examine() async {
        let inspector = KafkaInspector(uri.connection)
        let configuration: KafkaLocks.Configuration
        var count: Int?
        do {
            configuration = try uri.locks()
            // Mistakes in the settings themselves.
            _ = try KafkaLockInspector(configuration)
            count = try await inspector.partitionCount(of: configuration.topic, within: patience)
        } catch {
            let failure = CommandFailure(error)
            return tell(.wrong(error is CommandFailure ? "settings" : "cluster", failure.message, failure.status))
        }
        let topic = configuration.topic
        for finding in TopicFindings.cluster(uri.connection) { tell(finding) }
        if count == nil, creates {
            let creation = TopicCreation(topic: topic, partitions: configuration.partitions, settings: Self.settings)
            count = await creation.create(inspector, tell)
            if count == nil { return }
        }
        guard let count else {
            return tell(
                .wrong(
                    "topic",
                    """
                    there is no topic \(topic); --create makes it, with cleanup.policy=delete and what else locks need (of \
                    shards the topic is with mutex=shards in the URI)
                    """, ExitStatus.incompatible))
        }
        tell(Self.judge(partitions: count, configured: uri.partitions, topic))
        do throws(LockError) {
            let setup = try await inspector.setup(of: topic, asksBroker: false)
            for finding in Self.judge(setup, topic, ttl: configuration.ttl) { tell(finding) }
        } catch {
            tell(.wrong("cluster", error.message, ExitStatus.of(error)))
        }
        tell(await lock(configuration))
    }

    /// All that locks do on the broker, with the permissions of this user.
    private func lock(_ configuration: KafkaLocks.Configuration) async -> Finding {
        let start = ContinuousClock.now
        do throws(LockError) {
            let locks = try KafkaLocks(configuration)
            try await locks.verify(within: patience)
            let time = start.duration(to: .now)
            await locks.shutdown(within: .seconds(1))
            return .good("lock", "was taken and given back, \(time.readable) after the first connection was begun")
        } catch {
            let rights = error.code == .accessRefused ? ". Locks need to describe, read and write the topic" : ""
            return .wrong("lock", error.message + rights, ExitStatus.of(error))
        }
    }

    // MARK: Judging

    /// The settings of a new topic: records are kept for a week.
    static let settings = [
        "cleanup.policy": "delete", "retention.ms": "604800000", "retention.bytes": "-1",
        "message.timestamp.type": "LogAppendTime", "unclean.leader.election.enable": "false",
    ]

    static func judge(partitions count: Int, configured: Int?, _ topic: String) -> Finding {
        let used = configured ?? 1
        guard used <= count else {
            return .wrong(
                "partitions", "\(topic) has \(count), and names are to be spread over \(used): nothing can be locked",
                ExitStatus.incompatible)
        }
        let rest = used < count ? "; the other \(count - used) have no use" : ""
        return .good(
            "partitions", "names are spread over \(used) of \(topic): the same number in all programs\(rest)")
    }

    static func judge(_ setup: KafkaInspector.Setup, _ topic: String, ttl: Duration) -> [Finding] {
        var findings = [TopicFindings.replicas(setup, topic, losing: "all leases end")]
        switch setup.topic {
        case .failure(let error): findings.append(TopicFindings.unseen("settings of \(topic)", error))
        case .success(let settings):
            findings += [policy(settings, topic), time(settings, topic, ttl: ttl), size(settings, topic)]
            findings += [
                clock(settings, topic),
                TopicFindings.election(
                    settings, topic,
                    risk: "a broker that has missed records may lead \(topic), and a lock is granted twice"),
            ]
            findings += TopicFindings.inSync(settings, setup, topic, record: "a grant")
        }
        guard setup.brokers > 1, ttl < shortOfCrashes else { return findings }
        return findings + [
            .advice(
                "broker crash",
                """
                a crashed broker is replaced after 9 s (KRaft) to 18 s (ZooKeeper): with session=\(ttl.readable) that ends \
                all leases of its partitions; the default of 30 s outlives it
                """)
        ]
    }

    /// A broker that is gone is replaced after `broker.session.timeout.ms` or `zookeeper.session.timeout.ms`.
    private static let shortOfCrashes = Duration.seconds(25)
    private static let day = Duration.seconds(24 * 60 * 60)

    private static func policy(_ settings: [String: String], _ topic: String) -> Finding {
        let policy = settings["cleanup.policy"] ?? "delete"
        guard policy != "delete" else { return .good("cleanup.policy", "delete") }
        return .wrong(
            "cleanup.policy",
            """
            \(policy): compaction keeps records without effect, and drops those that had one; set cleanup.policy=delete on \
            \(topic), or is it a topic of shards (mutex=shards)?
            """, ExitStatus.incompatible)
    }

    private static func time(_ settings: [String: String], _ topic: String, ttl: Duration) -> Finding {
        let least = max(day, ttl * 20)
        guard let text = settings["retention.ms"], let number = Int64(text) else {
            return .advice(
                "retention", "\(topic) does not say for how long it keeps records: \(least.readable) are needed")
        }
        guard number >= 0, .milliseconds(number) < least else {
            return .good("retention", number < 0 ? "for ever" : Duration.milliseconds(number).readable)
        }
        return .wrong(
            "retention",
            """
            \(Duration.milliseconds(number).readable): who starts may not see a holder any more; set retention.ms=\
            \(least.nanoseconds / 1_000_000) on \(topic), or more
            """, ExitStatus.incompatible)
    }

    private static func size(_ settings: [String: String], _ topic: String) -> Finding {
        guard let text = settings["retention.bytes"], let number = Int64(text), number >= 0 else {
            return .good("retention.bytes", "no limit")
        }
        return .wrong(
            "retention.bytes",
            "\(number): who starts may not see a holder any more when much is locked; set retention.bytes=-1 on \(topic)",
            ExitStatus.incompatible)
    }

    private static func clock(_ settings: [String: String], _ topic: String) -> Finding {
        guard settings["message.timestamp.type"] != "LogAppendTime" else {
            return .good("clock", "records have the brokers' time")
        }
        return .advice(
            "clock",
            """
            records have the time of whoever writes them, and one whose clock is behind has them deleted too early: set \
            message.timestamp.type=LogAppendTime on \(topic)
            """)
    }
}
