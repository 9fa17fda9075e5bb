import Foundation
import MQLock
import MQLockRabbitMQ

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// A process that tests can stop and kill: takes locks as its arguments say, tells what happens in lines on standard
/// output, and ends with its standard input, so that none outlives its test.
///
/// `TortureWorker hold|spin|churn|contend|once|seed|elect|watch|serve URI NAME MUTEX`, the mutex by its name in `MutexUnderTest`;
/// `fence`: see ``FenceWriter``. Instants are nanoseconds of CLOCK_BOOTTIME, the same in every process.
@main
struct Worker {
    static func main() async throws {
        let arguments = Self.arguments
        if arguments.count == 5, arguments[1] == "fence" {
            guard var writer = FenceWriter(gate: arguments[2], ledger: arguments[3], plan: arguments[4]) else {
                return say("failed no plan: \(arguments[4])")
            }
            writer.run()
        }
        guard arguments.count == 5, let mutex = MutexUnderTest.named(arguments[4]) else {
            return say("usage: TortureWorker hold|spin|churn|contend|once|seed|elect|watch|serve URI NAME MUTEX")
        }
        let (mode, uri, name) = (arguments[1], arguments[2], arguments[3])
        let locks = try RabbitMQLocks(configuration(uri, mutex))
        let commands = Commands()
        do {
            switch mode {
            case "hold": try await hold(locks, LockName(name), commands)
            case "spin": try await spin(locks, LockName(name), commands)
            case "churn": try await churn(locks, LockName(name), commands)
            case "contend": try await contend(locks, LockName(name))
            case "once": try await once(locks, LockName(name), commands)
            case "seed": try await seed(locks, name)
            case "elect": try await elect(locks, LockName(name), commands)
            case "watch": try await watch(configuration(uri, mutex), LockName(name))
            case "serve": try await serve(configuration(uri, mutex), name)
            default: say("unknown \(mode)")
            }
        } catch {
            say("failed \(error)")
        }
        await locks.shutdown()
    }

    /// Under libfaketime Swift 6.3 finds none in `CommandLine`.
    private static var arguments: [String] {
        guard CommandLine.arguments.isEmpty else { return CommandLine.arguments }
        let words = (try? Data(contentsOf: URL(fileURLWithPath: "/proc/self/cmdline"))) ?? Data()
        return words.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
    }

    private static func configuration(_ uri: String, _ mutex: MutexUnderTest) -> RabbitMQLocks.Configuration {
        var configuration = RabbitMQLocks.Configuration(uri: uri)
        mutex.configure(&configuration)
        configuration.backoff = .milliseconds(20) ... .milliseconds(200)
        return configuration
    }

    /// Acquires, and then does what it is told: `release`, `acquire`, `exhaust` (take every file descriptor there is),
    /// `recover` (give them back), `clock`.
    private static func hold(_ locks: RabbitMQLocks, _ name: LockName, _ commands: Commands) async throws {
        let hog = DescriptorHog()
        var release = acquire(locks, name)
        while let command = await commands.next() {
            switch command {
            case "release": release.finish()
            case "acquire": release = acquire(locks, name)
            case "exhaust": say("exhausted \(hog.start())")
            case "recover":
                hog.stop()
                say("recovered")
            case "clock": say("clock \(Int(Date().timeIntervalSince1970)) \(Boot.now)")
            default: say("unknown \(command)")
            }
        }
    }

    /// Acquires and holds, aside, until the returned stream is finished.
    private static func acquire(_ locks: RabbitMQLocks, _ name: LockName) -> AsyncStream<Never>.Continuation {
        let (end, continuation) = AsyncStream.makeStream(of: Never.self)
        Task {
            do throws(LockError) {
                let held = try await locks.acquire(name)
                let lease = held.lease
                say("granted \(lease.fencingToken) \(Boot.nanoseconds(lease.record.grantedAt))")
                Task {
                    for await state in lease.states {
                        if case .lost(let reason) = state {
                            say("lost \(reason.kind) \(Boot.nanoseconds(lease.record.endedAt ?? .now))")
                        }
                    }
                }
                for await _ in end {}
                try await held.release()
                say("released \(Boot.now)")
            } catch {
                say("failed \(error.code) \(error)")
            }
        }
        return continuation
    }

    /// Holds and looks at its lease as fast as it can, on a thread of its own, until the lease has ended.
    private static func spin(_ locks: RabbitMQLocks, _ name: LockName, _ commands: Commands) async throws {
        let held = try await locks.acquire(name)
        let lease = held.lease
        say("granted \(lease.fencingToken) \(Boot.nanoseconds(lease.record.grantedAt))")
        Thread.detachNewThread { Spinner(lease: lease).run() }
        _ = await commands.next()
        try await held.release()
    }

    /// Runs as many acquire-release cycles as each command says, and tells what they have cost.
    private static func churn(_ locks: RabbitMQLocks, _ name: LockName, _ commands: Commands) async throws {
        say("ready")
        while let command = await commands.next() {
            for _ in 0..<(Int(command) ?? 1) {
                let held = try await locks.acquire(name)
                // A loss, when the connection is cut just then, is no failure of the cycle.
                try? await held.release()
            }
            let usage = Usage.now
            say("cycled \(usage.residentKilobytes) \(usage.descriptors) \(usage.threads)")
        }
    }

    /// The first acquire of one fresh name after the other.
    private static func seed(_ locks: RabbitMQLocks, _ prefix: String) async throws {
        for number in 0... {
            let name = try LockName("\(prefix)/\(number)")
            say("trying \(name)")
            let held = try await locks.acquire(name)
            say("granted \(name) \(held.lease.fencingToken)")
            try await held.release()
        }
    }
}

/// Writes a line at once.
func say(_ line: String) {
    let bytes = Array("\(line)\n".utf8)
    _ = write(1, bytes, bytes.count)
}
