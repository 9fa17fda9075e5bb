import MQLock

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// Feeds a reader with anything that may come from outside. It checks that the reader does not trap; the reader's test
/// says what else has to hold.
package enum Fuzzing {
    /// What a test saw of one input.
    package enum Outcome: Equatable, Sendable {
        /// It is not in the language.
        case refused
        case read
        /// Something that is not allowed.
        case wrong(String)
    }

    /// A few thousand inputs; a million in a full run; or as many as `MQLOCK_FUZZ_INPUTS` says.
    package static var count: Int {
        if let count = variable("MQLOCK_FUZZ_INPUTS").flatMap({ Int($0) }) { return count }
        return variable("MQLOCK_TEST_FULL") == "1" ? 1_000_000 : 3000
    }

    private static func variable(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }

    /// Reads every example, each of which has to be accepted, and then mutations of them.
    ///
    /// The inputs are those of the seed in `MQLOCK_SEED`, or of a new one, which is printed before the first of them.
    /// - Parameters:
    ///   - count: how many inputs.
    ///   - read: called on a thread of its own, of the lowest priority: beside tests that measure time.
    /// - Returns: what was wrong; nil when nothing was.
    package static func firstFault(
        in name: String, examples: [String], words: [String] = [], count: Int = count,
        _ read: @escaping @Sendable ([UInt8]) -> Outcome
    ) async -> String? {
        await firstFault(in: name, examples: examples.map { Array($0.utf8) }, words: words, count: count, read)
    }

    /// The same for examples that are not text.
    package static func firstFault(
        in name: String, examples: [[UInt8]], words: [String] = [], count: Int = count,
        _ read: @escaping @Sendable ([UInt8]) -> Outcome
    ) async -> String? {
        let seed = variable("MQLOCK_SEED").flatMap(UInt64.init) ?? .random(in: 0 ... .max)
        print("fuzzing \(name): MQLOCK_SEED=\(seed)")
        // A trap would take it along.
        fflush(nil)
        return await withCheckedContinuation { continuation in
            let status = DetachedThread.start {
                #if os(Linux)
                // Of this thread alone; elsewhere it would be the whole process.
                _ = nice(19)
                #endif
                let fault = fault(FuzzInputs(seed: seed, examples: examples, words: words), examples, count, read)
                continuation.resume(returning: fault.map { "\(name), MQLOCK_SEED=\(seed): \($0)" })
            }
            if status != 0 { continuation.resume(returning: "no thread: errno \(status)") }
        }
    }

    private static func fault(
        _ inputs: FuzzInputs, _ examples: [[UInt8]], _ count: Int, _ read: ([UInt8]) -> Outcome
    ) -> String? {
        for example in examples where read(example) != .read { return "not taken: \(shown(example)), \(read(example))" }
        var inputs = inputs
        var taken = 0
        for number in 0..<count {
            let input = inputs.next()
            switch read(input) {
            case .refused: break
            case .read: taken += 1
            case .wrong(let what): return "\(what), input \(number): \(shown(input))"
            }
        }
        // Otherwise only what comes before the first check was tried.
        return taken * 1000 < count ? "of \(count) inputs only \(taken) were taken" : nil
    }

    private static func shown(_ input: [UInt8]) -> String {
        String(validating: input, as: UTF8.self).map { "'\($0.escapedForDisplay)'" } ?? "\(input)"
    }
}
