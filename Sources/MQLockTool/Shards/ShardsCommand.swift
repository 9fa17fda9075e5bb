import MQLock
import MQLockKafka

#if canImport(Glibc)
@preconcurrency import Glibc
#elseif canImport(Musl)
@preconcurrency import Musl
#else
@preconcurrency import Darwin
#endif

/// `mqlock shards`: a member on a task, while the main thread waits for the signals that end it.
enum ShardsCommand {
    static func run(_ options: ShardsOptions, _ output: Output) throws(CommandFailure) -> Never {
        // Before the first thread, so that every thread inherits it.
        let ending = Signals.terminating.subtracting(Signals.ignoredNow())
        var set = Signals.set(ending)
        pthread_sigmask(SIG_BLOCK, &set, nil)
        // A reader that has gone is no reason to leave the group abruptly.
        signal(SIGPIPE, SIG_IGN)

        let uri = try options.broker.resolveKafka(environment: RunCommand.variable)
        let partitions = options.partitions ?? uri.partitions
        var configuration = try uri.ownership(partitions: partitions ?? 1)
        if let owner = options.owner { configuration.owner = owner }
        do throws(LockError) {
            // Mistakes in it are reported before any broker is asked.
            _ = try ShardOwnership(configuration)
        } catch {
            throw CommandFailure(status: ExitStatus.of(error), message: error.message, helpTopic: "shards")
        }
        let report = ShardsReport(
            topic: configuration.topic, owner: configuration.owner, json: options.json,
            write: { Platform.writeAll($0.utf8, to: 1) }, writeError: output.standardError)
        let session = ShardsSession(
            configuration: configuration, partitions: partitions, patience: .seconds(30), report: report)
        // Not `exit`: the library's threads may still run while its clients are destroyed, and nothing is left to
        // flush.
        let task = Task.detached { _exit(await session.run()) }
        while ending.isEmpty { pause() }
        var desk = LeavingDesk()
        var number: Int32 = 0
        while true {
            guard sigwait(&set, &number) == 0 else { continue }
            switch desk.received(at: .now) {
            case .leave: task.cancel()
            case .ignore: break
            case .quit: _exit(ExitStatus.ended(bySignal: number))
            }
        }
    }
}
