import MQLock
import MQLockKafka

/// Checks that shards of a Kafka topic work and are safe. Joins no group and writes no record. Creates the topic if
/// asked to.
struct ShardDoctor: Sendable {
    let uri: KafkaURI
    var creates = false
    let patience: Duration
    let tell: @Sendable (Finding) -> Void

    func examine() async {
        let inspector = KafkaInspector(uri.connection)
        let topic: String
        var count: Int?
        do {
            topic = try uri.namedTopic()
            // Mistakes in the settings themselves.
            _ = try ShardOwnership(try uri.ownership(partitions: uri.partitions ?? 1))
            count = try await inspector.partitionCount(of: topic, within: patience)
        } catch let error as LockError {
            return tell(.wrong("cluster", error.message, ExitStatus.of(error)))
        } catch {
            let failure = error as? CommandFailure
            return tell(.wrong("settings", failure?.message ?? "\(error)", failure?.status ?? ExitStatus.internalError))
        }
        for finding in TopicFindings.cluster(uri.connection) { tell(finding) }
        if count == nil, creates {
            let creation = TopicCreation(topic: topic, partitions: uri.partitions, settings: Self.settings)
            count = await creation.create(inspector, tell)
            if count == nil { return }
        }
        guard let count else {
            let number = uri.partitions.map(String.init) ?? "N"
            return tell(
                .wrong(
                    "topic",
                    """
                    there is no topic \(topic); create it with \(number) partitions, cleanup.policy=compact and 3 replicas, \
                    as --create does
                    """, ExitStatus.incompatible))
        }
        tell(Self.judge(partitions: count, configured: uri.partitions, topic))
        do throws(LockError) {
            guard try await !inspector.isLockLog(topic, partitions: count, within: patience) else {
                return tell(
                    .wrong(
                        "topic",
                        "\(topic) is a log of locks, by the records in it: leave mutex=shards out, or name another",
                        ExitStatus.incompatible))
            }
            let setup = try await inspector.setup(of: topic)
            for finding in Self.judge(
                setup, topic, session: uri.session ?? ShardOwnership.Configuration.surviveBrokerCrash)
            {
                tell(finding)
            }
        } catch {
            tell(.wrong("cluster", error.message, ExitStatus.of(error)))
        }
        tell(await transactions(inspector, topic))
        if let records = uri.records { await examine(records, beside: count, inspector) }
    }

    private func transactions(_ inspector: KafkaInspector, _ topic: String) async -> Finding {
        guard uri.claims != .acknowledged else {
            return .advice("transactions", "not used with claims=acknowledged: output is not fenced by the brokers")
        }
        do throws(LockError) {
            try await inspector.checkTransactions(of: topic)
            return .good("transactions", "can be begun")
        } catch {
            return .wrong(
                "transactions",
                """
                \(error.message). Without them nothing is ever owned; for brokers that have none, there is \
                claims=acknowledged
                """, error.code == .accessRefused ? ExitStatus.of(error) : ExitStatus.incompatible)
        }
    }

    // MARK: The service's own topic

    private func examine(_ topic: String, beside count: Int, _ inspector: KafkaInspector) async {
        do throws(LockError) {
            guard let number = try await inspector.partitionCount(of: topic, within: patience) else {
                return tell(.wrong("records", "there is no topic \(topic)", ExitStatus.incompatible))
            }
            guard number == count else {
                return tell(
                    .wrong(
                        "records",
                        """
                        \(topic) has \(number) partitions and the lock topic \(count): the same number of both is given to \
                        the same member only when there are as many
                        """, ExitStatus.incompatible))
            }
            tell(.good("records", "\(topic) has \(number) partitions, as the lock topic"))
            let spread = try await inspector.spread(of: topic, partitions: number)
            tell(Self.judge(spread, configured: uri.partitioner ?? .murmur2, topic))
        } catch {
            tell(.advice("records", "not looked at: \(error.message)"))
        }
    }

    static func judge(_ spread: KafkaInspector.Spread, configured: Partitioner, _ topic: String) -> Finding {
        guard spread.records > 0 else {
            return .advice(
                "partitioner",
                "\(topic) holds no records with a key: nothing says whether they are spread by \(configured)")
        }
        let fitting = spread.fitting
        if fitting.contains(configured) {
            return .good("partitioner", "\(spread.records) records of \(topic) lie where \(configured) puts their keys")
        }
        if let other = fitting.first {
            return .wrong(
                "partitioner",
                """
                the \(spread.records) records looked at were written by \(other), and \(configured) is configured: set \
                partitioner=\(other) on all members
                """, ExitStatus.incompatible)
        }
        let counts = Partitioner.all.map { "\(spread.matches[$0] ?? 0) by \($0)" }.joined(separator: ", ")
        return .wrong(
            "partitioner",
            """
            of \(spread.records) records of \(topic) with a key, as many lie right: \(counts). Their writers use several \
            partitioners, or one that is not known here, or the topic once had fewer partitions
            """, ExitStatus.incompatible)
    }

    static func judge(partitions count: Int, configured: Int?, _ topic: String) -> Finding {
        guard let configured else {
            return .good("partitions", "\(topic) has \(count); configure all members with that number")
        }
        guard configured == count else {
            return .wrong(
                "partitions",
                """
                \(topic) has \(count) and \(configured) are configured: names would have other owners; all members need \
                the number that it has had from the beginning
                """, ExitStatus.incompatible)
        }
        return .good("partitions", "\(topic) has \(count), as configured")
    }

    static func judge(_ setup: KafkaInspector.Setup, _ topic: String, session: Duration) -> [Finding] {
        var findings = [TopicFindings.replicas(setup, topic, losing: "its shards end")]
        switch setup.topic {
        case .failure(let error): findings.append(TopicFindings.unseen("settings of \(topic)", error))
        case .success(let settings): findings += judge(topic: settings, setup, topic)
        }
        switch setup.broker {
        case .failure(let error): findings.append(TopicFindings.unseen("settings of a broker", error))
        case .success(let settings):
            findings.append(judge(broker: settings, session: session))
            if setup.brokers > 1, session < shortOfCrashes {
                findings.append(
                    .advice(
                        "broker crash",
                        """
                        renewals wait for all copies of the group's offsets, and a crashed broker is left out after about \
                        9 s: with \(session.readable) the crash of any broker that has a copy ends all ownership for some \
                        seconds; \(ShardOwnership.Configuration.surviveBrokerCrash.readable) outlives it
                        """))
            }
        }
        return findings
    }

    /// A broker that is gone is removed after `broker.session.timeout.ms`, 9 s by default, and its copies with it.
    private static let shortOfCrashes = Duration.seconds(15)

    /// The settings of a new topic.
    static let settings = [
        "cleanup.policy": "compact", "message.timestamp.type": "LogAppendTime",
        "unclean.leader.election.enable": "false",
    ]

    private static func judge(
        topic settings: [String: String], _ setup: KafkaInspector.Setup, _ topic: String
    ) -> [Finding] {
        var findings: [Finding] = []
        let policies = (settings["cleanup.policy"] ?? "delete").split(separator: ",").map(String.init)
        if policies == ["compact"] {
            findings.append(.good("cleanup.policy", "compact"))
        } else {
            findings.append(
                .wrong(
                    "cleanup.policy",
                    """
                    \(policies.joined(separator: ",")): records that are deleted by age take the largest token with them; \
                    set cleanup.policy=compact on \(topic)
                    """, ExitStatus.incompatible))
        }
        if settings["message.timestamp.type"] == "LogAppendTime" {
            findings.append(.good("clock", "the topic tells the brokers' time: a member whose clock is far off ends"))
        } else {
            findings.append(
                .advice(
                    "clock",
                    """
                    a member whose clock is days ahead would end all others by its claims: set \
                    message.timestamp.type=LogAppendTime on \(topic), and such a member ends before it claims
                    """))
        }
        findings.append(
            TopicFindings.election(
                settings, topic, risk: "a broker that has missed claims may lead \(topic), and tokens go back"))
        return findings + TopicFindings.inSync(settings, setup, topic, record: "a claim")
    }

    private static func judge(broker settings: [String: String], session: Duration) -> Finding {
        func bound(_ name: String) -> Duration? { settings[name].flatMap(Int64.init).map { .milliseconds($0) } }
        let shortest = bound("group.min.session.timeout.ms") ?? .zero
        let longest = bound("group.max.session.timeout.ms") ?? session
        guard session >= shortest, session <= longest else {
            return .wrong(
                "session",
                """
                \(session.readable) is refused by the brokers, which take \(shortest.readable) to \(longest.readable): \
                set session= in the URI, or group.min.session.timeout.ms and group.max.session.timeout.ms there
                """, ExitStatus.usage)
        }
        return .good("session", "\(session.readable) is taken by the brokers")
    }
}
