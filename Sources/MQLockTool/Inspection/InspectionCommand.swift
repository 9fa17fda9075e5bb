import MQLock
import MQLockRabbitMQ

#if canImport(Glibc)
@preconcurrency import Glibc
#elseif canImport(Musl)
@preconcurrency import Musl
#else
@preconcurrency import Darwin
#endif

/// `mqlock show`, `list`, `observe` and `break`: asks on a task, while the main thread waits for the signals that end
/// it.
enum InspectionCommand {
    static func show(_ options: InspectionOptions, _ output: Output) throws(CommandFailure) -> Never {
        let report = InspectionReport(options, output)
        try run(options.broker, report, statusOfSignal: ExitStatus.ended(bySignal:)) { broker throws(LockError) in
            let marks = Task { try? await broker.marks(options) }
            let view = try await broker.view(options)
            let lastMark = await marks.value?.max { $0.fencingToken < $1.fencingToken }
            if lastMark == nil { try NamePattern.refuseUnused(view) }
            report.show(view, lastMark)
            return view.holders.isEmpty ? ExitStatus.conflict : ExitStatus.success
        }
    }

    static func list(_ options: ListOptions, _ output: Output) throws(CommandFailure) -> Never {
        let management = management(options.management)
        let report = InspectionReport(name: nil, json: options.json, output: output)
        try run(
            options.broker, report, isManaged: options.management != nil, statusOfSignal: ExitStatus.ended(bySignal:)
        ) { broker throws(LockError) in
            let list: LockList
            switch broker {
            case .rabbitMQ(let inspector):
                list = try await LockList(
                    options, inspector, management: try ManagementAPI(management, inspector), output)
            case .kafka(let inspector, let topic):
                list = try await LockList(options, inspector, topic: topic, output)
            }
            return list.tell()
        }
    }

    static func clean(_ options: CleanOptions, _ output: Output) throws(CommandFailure) -> Never {
        let management = management(options.management)
        let uri = try options.broker.resolve(environment: RunCommand.variable)
        let report = InspectionReport(name: nil, json: options.json, output: output)
        try run(options.broker, report, statusOfSignal: ExitStatus.ended(bySignal:)) { broker throws(LockError) in
            guard case .rabbitMQ(let inspector) = broker else { preconditionFailure("gc is for RabbitMQ") }
            guard let api = try ManagementAPI(management, inspector) else {
                throw LockError(
                    .invalidConfiguration,
                    "the broker's management API lists the locks: give --management URL or $\(ManagementAPI.variable)")
            }
            let cleaning = LockCleaning(
                options: options, uri: uri, vhost: inspector.credentials.vhost, management: api, output: output)
            return try await cleaning.run()
        }
    }

    static func observe(_ options: InspectionOptions, _ output: Output) throws(CommandFailure) -> Never {
        let report = InspectionReport(options, output)
        if NamePattern(options.name.string).hasWildcards {
            output.standardError(
                "mqlock: observing the lock of the very name \(options.name): wildcards are for list\n")
        }
        try run(options.broker, report, statusOfSignal: { _ in ExitStatus.success }) { broker throws(LockError) in
            do {
                for try await change in try await broker.changes(options) { report.tell(change) }
            } catch {
                throw error as? LockError ?? LockError(.internalError, "\(error)")
            }
            return ExitStatus.success
        }
    }

    static func breakLock(_ options: InspectionOptions, _ output: Output) throws(CommandFailure) -> Never {
        let management = management(options.management)
        let report = InspectionReport(options, output)
        try run(
            options.broker, report, isManaged: options.management != nil, statusOfSignal: ExitStatus.ended(bySignal:)
        ) { broker throws(LockError) in
            switch broker {
            case .rabbitMQ(let inspector):
                let breaking = LockBreak(
                    options: options, inspector: inspector, vhost: inspector.credentials.vhost,
                    management: try ManagementAPI(management, inspector), report: report)
                return try await breaking.run()
            case .kafka(let inspector, _):
                return try await LogBreak(options: options, inspector: inspector, report: report).run()
            }
        }
    }

    static func management(_ option: String?) -> String? {
        option ?? RunCommand.variable(ManagementAPI.variable).flatMap { $0.isEmpty ? nil : $0 }
    }

    /// - Parameter isManaged: whether a management API was named.
    private static func run(
        _ source: BrokerSource, _ report: InspectionReport, isManaged: Bool = false, statusOfSignal: (Int32) -> Int32,
        _ body: @escaping @Sendable (InspectionBroker) async throws(LockError) -> Int32
    ) throws(CommandFailure) -> Never {
        // Before the first thread, so that every thread inherits it.
        let ending = Signals.terminating.subtracting(Signals.ignoredNow())
        var set = Signals.set(ending)
        pthread_sigmask(SIG_BLOCK, &set, nil)
        let uri = try source.resolveAny(environment: RunCommand.variable)
        if case .kafka = uri, isManaged {
            throw .usage("--management is for RabbitMQ; on Kafka the log tells everything")
        }
        let broker = try InspectionBroker(uri)
        Task.detached {
            do throws(LockError) {
                leave(try await body(broker))
            } catch {
                let status = ExitStatus.of(error)
                report.tell("failed", error.message, status: status)
                leave(status)
            }
        }
        var number: Int32 = 0
        while ending.isEmpty { pause() }
        while sigwait(&set, &number) != 0 {}
        leave(statusOfSignal(number))
    }
}

extension ManagementAPI {
    /// Contains a password, like the broker's variable.
    static let variable = "MQLOCK_MANAGEMENT"

    /// - Parameter url: nil yields nil.
    fileprivate init?(_ url: String?, _ inspector: RabbitMQInspector) throws(LockError) {
        guard let url else { return nil }
        try self.init(url, credentials: inspector.credentials)
    }
}
