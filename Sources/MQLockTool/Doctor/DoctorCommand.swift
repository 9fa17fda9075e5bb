import MQLock

/// The options of `doctor`.
struct DoctorOptions: Equatable {
    var broker = BrokerSource.environment
    var json = false
    var management: String?
    /// Whether to create a missing Kafka topic.
    var creates = false
}

extension DoctorOptions {
    init(_ words: ReadArguments) throws(CommandFailure) {
        guard words.command == nil, words.operands.isEmpty else {
            throw .usage(
                "doctor takes options only; the broker is that of --broker or $\(BrokerSource.variable)", "doctor")
        }
        json = words.has(.json)
        management = words.values[.management]
        creates = words.has(.create)
        broker = try BrokerSource(words, .doctor)
    }
}

/// `mqlock doctor`: checks that the broker is set up safely for locks, and says what to do where it is not.
enum DoctorCommand {
    private static let patience = Duration.seconds(10)

    static func run(_ options: DoctorOptions, _ output: Output) throws(CommandFailure) -> Never {
        let broker = try options.broker.resolveAny(environment: RunCommand.variable)
        switch broker {
        case .rabbitMQ where options.creates: throw .usage("--create is for topics of Kafka", "doctor")
        case .kafka where options.management != nil: throw .usage("--management is for RabbitMQ", "doctor")
        default: break
        }
        let management = InspectionCommand.management(options.management)
        AsyncMain.run {
            await examine(
                broker, management: management, creates: options.creates, patience: patience, json: options.json, output
            )
        }
    }

    /// - Returns: the exit status: that of the first wrong finding.
    static func examine(
        _ broker: BrokerURI, management: String? = nil, creates: Bool = false, patience: Duration, json: Bool,
        _ output: Output
    ) async -> Int32 {
        let status = Locked(ExitStatus.success)
        let tell: @Sendable (Finding) -> Void = { finding in
            status.withLock { if $0 == ExitStatus.success { $0 = finding.status } }
            output.standardOutput(json ? Self.json(finding) : Self.words(finding))
        }
        switch broker {
        case .rabbitMQ(let uri):
            await RabbitMQDoctor(uri: uri, management: management, patience: patience, tell: tell).examine()
        case .kafka(let uri) where uri.mutex == .shards:
            await ShardDoctor(uri: uri, creates: creates, patience: patience, tell: tell).examine()
        case .kafka(let uri):
            await LogDoctor(uri: uri, creates: creates, patience: patience, tell: tell).examine()
        }
        return status.withLock { $0 }
    }

    private static func words(_ finding: Finding) -> String {
        let label =
            switch finding.level {
            case .good: "good  "
            case .advice: "advice"
            case .wrong: "WRONG "
            }
        return "\(label)  \(finding.subject): \(finding.text)\n"
    }

    private static func json(_ finding: Finding) -> String {
        var line = JSONLine(finding.level.rawValue)
        line.add("subject", finding.subject)
        line.add("message", finding.text)
        if finding.status != ExitStatus.success { line.add("status", finding.status) }
        return line.text
    }
}
