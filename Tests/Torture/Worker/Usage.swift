import Foundation

/// What the process costs, read from /proc.
struct Usage {
    let residentKilobytes: Int
    let descriptors: Int
    let threads: Int

    static var now: Usage {
        let status = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
        func field(_ name: String) -> Int {
            let line = status.split(separator: "\n").first { $0.hasPrefix("\(name):") } ?? ""
            return line.split(whereSeparator: { !$0.isNumber }).first.flatMap { Int($0) } ?? 0
        }
        let descriptors = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count) ?? 0
        return Usage(residentKilobytes: field("VmRSS"), descriptors: descriptors, threads: field("Threads"))
    }
}
