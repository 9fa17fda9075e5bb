import Foundation

/// Seeds of generated tests: new at every run, or the one in MQLOCK_SEED.
enum TestSeed {
    static func next() -> UInt64 {
        ProcessInfo.processInfo.environment["MQLOCK_SEED"].flatMap(UInt64.init) ?? .random(in: 0 ... .max)
    }
}
