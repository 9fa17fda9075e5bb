import MQLock
import MQLockRabbitMQ

#if canImport(Glibc)
@preconcurrency import Glibc
#elseif canImport(Musl)
@preconcurrency import Musl
#else
@preconcurrency import Darwin
#endif

/// `mqlock show`, `observe` and `break`: asks on a task, while the main thread waits for the signals that end it.
enum SeeingCommand {
    static func show(_ options: SeeingOptions, _ output: Output) throws(CommandFailure) -> Never {
        try run(options, output, statusOfSignal: ExitStatus.ended(bySignal:)) {
            inspector, _, report throws(LockError) in
            let view = try await inspector.view(options.name, within: options.patience)
            report.show(view)
            return view.holders.isEmpty ? ExitStatus.conflict : ExitStatus.success
        }
    }

    static func observe(_ options: SeeingOptions, _ output: Output) throws(CommandFailure) -> Never {
        try run(options, output, statusOfSignal: { _ in ExitStatus.success }) {
            inspector, _, report throws(LockError) in
            do {
                for try await change in inspector.changes(of: options.name) { report.tell(change) }
            } catch {
                throw error as? LockError ?? LockError(.internalError, "\(error)")
            }
            return ExitStatus.success
        }
    }

    static func breakLock(_ options: SeeingOptions, _ output: Output) throws(CommandFailure) -> Never {
        let management =
            options.management ?? RunCommand.variable("MQLOCK_MANAGEMENT").flatMap { $0.isEmpty ? nil : $0 }
        try run(options, output, statusOfSignal: ExitStatus.ended(bySignal:)) {
            inspector, uri, report throws(LockError) in
            let api = try management.map { url throws(LockError) in
                try ManagementAPI(url, credentials: inspector.credentials)
            }
            let breaking = LockBreak(
                options: options, inspector: inspector, vhost: inspector.credentials.vhost, management: api,
                report: report)
            return try await breaking.run()
        }
    }

    private static func run(
        _ options: SeeingOptions, _ output: Output, statusOfSignal: (Int32) -> Int32,
        _ body: @escaping @Sendable (RabbitMQInspector, String, SeeingReport) async throws(LockError) -> Int32
    ) throws(CommandFailure) -> Never {
        // Before the first thread, so that every thread inherits it.
        let ending = Signals.terminating.subtracting(Signals.ignoredNow())
        var set = Signals.set(ending)
        pthread_sigmask(SIG_BLOCK, &set, nil)
        var configuration = RabbitMQLocks.Configuration(
            uri: try options.broker.resolve(environment: RunCommand.variable))
        configuration.startupTimeout = .seconds(30)
        let inspector: RabbitMQInspector
        do throws(LockError) {
            inspector = try RabbitMQInspector(configuration)
        } catch {
            throw CommandFailure(status: ExitStatus.of(error), message: error.message)
        }
        let report = SeeingReport(name: options.name, json: options.json, output: output)
        let uri = configuration.uri
        Task.detached {
            do throws(LockError) {
                exit(try await body(inspector, uri, report))
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
