import Foundation
import MQLock
import MQLockKafka

/// Joins and leaves over and over, and prints what the process has of everything, at a tenth of the way and at its end:
///
///     threads T descriptors D resident KIBIBYTES
struct Growth {
    private let configuration: ShardOwnership.Configuration

    init(_ configuration: ShardOwnership.Configuration) { self.configuration = configuration }

    func measure(count: Int) async throws {
        for number in 0..<count {
            try await joinAndLeave()
            if number == count / 10 || number == count - 1 { await report() }
        }
    }

    private func joinAndLeave() async throws {
        let ownership = try ShardOwnership(configuration)
        let events = ownership.events
        let running = Task { try await ownership.run() }
        for await event in events where event.kind == .owned && ownership.owned.count == configuration.partitions {
            running.cancel()
            break
        }
        try await running.value
    }

    /// Clients are destroyed in the background: waits until nothing gets less any more.
    private func report() async {
        var now = counts()
        var steady = 0
        while steady < 20 {
            try? await Task.sleep(for: .milliseconds(100))
            let next = counts()
            steady = next.threads == now.threads && next.descriptors == now.descriptors ? steady + 1 : 0
            now = next
        }
        print("threads \(now.threads) descriptors \(now.descriptors) resident \(resident())")
        fflush(nil)
    }

    private func counts() -> (threads: Int, descriptors: Int) {
        func entries(_ path: String) -> Int { (try? FileManager.default.contentsOfDirectory(atPath: path).count) ?? -1 }
        return (entries("/proc/self/task"), entries("/proc/self/fd"))
    }

    private func resident() -> Int {
        let text = (try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8)) ?? ""
        return text.split(separator: " ").dropFirst().first.flatMap { Int($0) }.map { $0 * Int(getpagesize()) / 1024 }
            ?? -1
    }
}
