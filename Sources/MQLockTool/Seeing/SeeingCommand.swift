import MQLock
import MQLockRabbitMQ

#if canImport(Glibc)
@preconcurrency import Glibc
#elseif canImport(Musl)
@preconcurrency import Musl
#else
@preconcurrency import Darwin
#endif

/// `mqlock show`, `list`, `observe` and `break`: asks on a task, while the main thread waits for the signals that end it.
enum SeeingCommand {
    static func show(_ options: SeeingOptions, _ output: Output) throws(CommandFailure) -> Never {
        let report = SeeingReport(options, output)
        try run(options.broker, report, statusOfSignal: ExitStatus.ended(bySignal:)) { inspector throws(LockError) in
            let marks = Task { try? await inspector.marks(of: options.name, within: options.patience) }
            let view = try await inspector.view(options.name, within: options.patience)
            let lastMark = await marks.value?.max { $0.fencingToken < $1.fencingToken }
            if lastMark == nil { try NamePattern.refuseUnused(view) }
            report.show(view, lastMark)
            return view.holders.isEmpty ? ExitStatus.conflict : ExitStatus.success
        }
    }

    static func list(_ options: ListOptions, _ output: Output) throws(CommandFailure) -> Never {
        let management = management(options.management)
        let report = SeeingReport(name: nil, json: options.json, output: output)
        try run(options.broker, report, statusOfSignal: ExitStatus.ended(bySignal:)) { inspector throws(LockError) in
            let list = LockList(
                options: options, inspector: inspector, vhost: inspector.credentials.vhost,
                management: try ManagementAPI(management, inspector), output: output)
            return try await list.run()
        }
    }

    static func clean(_ options: CleanOptions, _ output: Output) throws(CommandFailure) -> Never {
        let management = management(options.management)
        let uri = try options.broker.resolve(environment: RunCommand.variable)
        let report = SeeingReport(name: nil, json: options.json, output: output)
        try run(options.broker, report, statusOfSignal: ExitStatus.ended(bySignal:)) { inspector throws(LockError) in
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

    static func observe(_ options: SeeingOptions, _ output: Output) throws(CommandFailure) -> Never {
        let report = SeeingReport(options, output)
        if NamePattern(options.name.string).hasWildcards {
            output.standardError(
                "mqlock: observing the lock of the very name \(options.name): wildcards are for list\n")
        }
        try run(options.broker, report, statusOfSignal: { _ in ExitStatus.success }) { inspector throws(LockError) in
            do {
                for try await change in inspector.changes(of: options.name) { report.tell(change) }
            } catch {
                throw error as? LockError ?? LockError(.internalError, "\(error)")
            }
            return ExitStatus.success
        }
    }

    static func breakLock(_ options: SeeingOptions, _ output: Output) throws(CommandFailure) -> Never {
        let management = management(options.management)
        let report = SeeingReport(options, output)
        try run(options.broker, report, statusOfSignal: ExitStatus.ended(bySignal:)) { inspector throws(LockError) in
            let breaking = LockBreak(
                options: options, inspector: inspector, vhost: inspector.credentials.vhost,
                management: try ManagementAPI(management, inspector), report: report)
            return try await breaking.run()
        }
    }

    static func management(_ option: String?) -> String? {
        option ?? RunCommand.variable(ManagementAPI.variable).flatMap { $0.isEmpty ? nil : $0 }
    }

    private static func run(
        _ broker: BrokerSource, _ report: SeeingReport, statusOfSignal: (Int32) -> Int32,
        _ body: @escaping @Sendable (RabbitMQInspector) async throws(LockError) -> Int32
    ) throws(CommandFailure) -> Never {
        // Before the first thread, so that every thread inherits it.
        let ending = Signals.terminating.subtracting(Signals.ignoredNow())
        var set = Signals.set(ending)
        pthread_sigmask(SIG_BLOCK, &set, nil)
        var configuration = RabbitMQLocks.Configuration(
            uri: try broker.resolve(environment: RunCommand.variable))
        configuration.startupTimeout = .seconds(30)
        let inspector: RabbitMQInspector
        do throws(LockError) {
            inspector = try RabbitMQInspector(configuration)
        } catch {
            throw CommandFailure(status: ExitStatus.of(error), message: error.message)
        }
        Task.detached {
            do throws(LockError) {
                exit(try await body(inspector))
            } catch {
                let status = ExitStatus.of(error)
                report.tell("failed", error.message, status: status)
                exit(status)
            }
        }
        var number: Int32 = 0
        while ending.isEmpty { pause() }
        while sigwait(&set, &number) != 0 {}
        exit(statusOfSignal(number))
    }
}

extension ManagementAPI {
    /// Holds a password like the broker's variable.
    static let variable = "MQLOCK_MANAGEMENT"

    /// - Parameter url: nil makes nil.
    fileprivate init?(_ url: String?, _ inspector: RabbitMQInspector) throws(LockError) {
        guard let url else { return nil }
        try self.init(url, credentials: inspector.credentials)
    }
}
