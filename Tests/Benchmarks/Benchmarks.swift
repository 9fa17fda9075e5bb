import Foundation
import MQLock
import MQLockRabbitMQ

/// Measures the token mutex beside raw librabbitmq that sends the same frames, on the same broker in the same run, the
/// two in turn so that a drifting machine slows both. Figures are ratios to the raw program; the absolute times are
/// this machine's.
///
/// `brokers/with --rabbitmq -- swift run -c release Benchmarks [CYCLES]`
@main
enum Benchmarks {
    static func main() async throws {
        let arguments = CommandLine.arguments
        guard let uri = ProcessInfo.processInfo.environment["MQLOCK_RABBITMQ"] else {
            fatalError("set MQLOCK_RABBITMQ, or run under: brokers/with --rabbitmq --")
        }
        if arguments.count == 5, arguments[1] == "worker", let count = Int(arguments[4]) {
            return try await Worker.run(kind: arguments[2], lock: arguments[3], count: count, uri: uri)
        }
        let cycles = arguments.count > 1 ? Int(arguments[1]) ?? 2_000 : 2_000
        let run = String(UInt32.random(in: 0 ... .max), radix: 16)
        try await uncontended(uri: uri, run: run, cycles: cycles)
        try handOver(uri: uri, run: run, count: cycles / 4)
    }

    private static func uncontended(uri: String, run: String, cycles: Int) async throws {
        var raw = try RawToken(uri: uri, queue: "benchmark-raw-\(run)")
        try raw.seed()
        let locks = try RabbitMQLocks(.init(uri: uri, mutex: .token))
        let name = try LockName("benchmark-\(run)")
        try await locks.acquire(name).release()
        var rawTimes = Sample()
        var ourTimes = Sample()
        for _ in 0..<cycles {
            // A token that was just put back may be a moment away; the raw program asks again, as ours stands in line.
            try rawTimes.time {
                try raw.acquire()
                raw.release()
            }
            try await ourTimes.time { try await locks.acquire(name).release() }
        }
        raw.delete()
        await locks.shutdown()
        Sample.report("acquire + release, uncontended", raw: rawTimes, ours: ourTimes)
    }

    /// Two processes pass the lock to and fro.
    private static func handOver(uri: String, run: String, count: Int) throws {
        let raw = try RawToken(uri: uri, queue: "benchmark-raw-pair-\(run)")
        try raw.seed()
        var rawTimes = Sample()
        var ourTimes = Sample()
        for _ in 0..<4 {
            rawTimes.merge(try Worker.pair(kind: "raw", lock: "benchmark-raw-pair-\(run)", count: count / 4))
            ourTimes.merge(try Worker.pair(kind: "mqlock", lock: "benchmark-pair-\(run)", count: count / 4))
        }
        raw.delete()
        Sample.report("hand-over between two processes", raw: rawTimes, ours: ourTimes)
    }
}
