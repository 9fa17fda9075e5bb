import Foundation
import MQLock
import Testing

@testable import MQLockTool

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// The built command where there is no broker, or one that says nothing: its limits hold, and TERM ends it. The time for
/// connecting is far beyond the suite's limit.
@Suite("mqlock run without a broker", .serialized, .timeLimit(.minutes(2)))
struct RunLimitTests {
    /// Accepts connections, as far as the kernel does, and never reads.
    private final class Mute: Sendable {
        let port: Int
        private let descriptor: Int32

        init() throws {
            descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
            var length = socklen_t(MemoryLayout<sockaddr_in>.size)
            let descriptor = descriptor
            let status = withUnsafeMutablePointer(to: &address) { address in
                address.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    bind(descriptor, $0, length) | listen(descriptor, 64) | getsockname(descriptor, $0, &length)
                }
            }
            guard status == 0 else { throw TestFailure("no listener") }
            port = Int(UInt16(bigEndian: address.sin_port))
        }

        deinit { close(descriptor) }
    }

    /// In front of the process's own emergency exit, which comes after five seconds.
    private let limit = Duration.milliseconds(4500)

    private func start(_ options: [String], port: Int, timeout: Int = 600_000) throws -> TestProcess {
        try TestProcess(
            TestProcess.mqlock, ["mqlock", "run", "limit"] + options + ["--", "echo", "ran"],
            environment: ["MQLOCK_BROKER": "amqp://127.0.0.1:\(port)?connection_timeout=\(timeout)"])
    }

    @Test(arguments: ["sac", "token", "exclusive"]) func aWait(_ mutex: String) async throws {
        let mute = try Mute()
        let start = ContinuousClock.now
        let result = try await self.start(["-w", "200ms", "--mutex", mutex], port: mute.port).result()
        #expect(start.duration(to: .now) < limit)
        #expect(result.status == ExitStatus.unavailable)
        #expect(result.output.isEmpty)
        withExtendedLifetime(mute) {}
    }

    @Test(arguments: [[], ["-n"], ["-w", "10m"]]) func TERM(_ options: [String]) async throws {
        let mute = try Mute()
        let process = try start(options + ["--json"], port: mute.port)
        if options != ["-n"] { #expect(await process.errors.line()?.contains("waiting") == true) }
        // It is connecting by now, or about to.
        let start = ContinuousClock.now
        process.send(SIGTERM)
        let result = await process.result()
        #expect(start.duration(to: .now) < limit)
        #expect(result.status == ExitStatus.ended(bySignal: SIGTERM))
        withExtendedLifetime(mute) {}
    }

    @Test func aTry() async throws {
        let port = try Mute().port
        var start = ContinuousClock.now
        let nobody = try await self.start(["-n"], port: port).result()
        #expect(start.duration(to: .now) < limit)
        #expect(nobody.status == ExitStatus.unavailable, "nobody holds it, so it is not taken")
        // One that says nothing: by the time for connecting, once.
        let mute = try Mute()
        start = .now
        let silent = try await self.start(["-n"], port: mute.port, timeout: 300).result()
        #expect(start.duration(to: .now) < limit)
        #expect(silent.status == ExitStatus.unavailable)
        withExtendedLifetime(mute) {}
    }

    /// With every number of descriptors: it works, or says what is short. No host is accused.
    @Test(.enabled(if: Broker.uri != nil, Broker.reason)) func fewDescriptors() async throws {
        var short = 0
        for number in stride(from: 6, through: 30, by: 1) {
            let process = try TestProcess(
                "/bin/bash",
                ["bash", "-c", "ulimit -n \(number) && exec \"$0\" show limit", TestProcess.mqlock],
                environment: ["MQLOCK_BROKER": try required(Broker.uri)])
            let result = await process.result()
            #expect(!result.errors.contains("accepts connections"), "\(number): \(result.errors)")
            #expect(!result.errors.contains("is not known"), "\(number): \(result.errors)")
            if result.errors.contains("descriptors") { short += 1 }
        }
        #expect(short > 0)
    }
}
