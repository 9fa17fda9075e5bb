#if canImport(Glibc)
@preconcurrency import Glibc
#elseif canImport(Musl)
@preconcurrency import Musl
#else
@preconcurrency import Darwin
#endif

/// The few calls of the C library whose names Swift would confuse with ours, and helpers around its conventions.
enum Platform {
    /// Repeats a call that a signal interrupted.
    static func retrying<Result: FixedWidthInteger>(_ call: () -> Result) -> Result {
        while true {
            let result = call()
            if result == -1, errno == EINTR { continue }
            return result
        }
    }

    static func message(_ code: Int32) -> String { String(cString: strerror(code)) }

    /// Writes everything or gives up: on a closed pipe there is nobody left to tell.
    @discardableResult
    static func writeAll(_ bytes: some Collection<UInt8>, to descriptor: Int32) -> Bool {
        var rest = Array(bytes)[...]
        while !rest.isEmpty {
            let written = rest.withUnsafeBytes { buffer in
                retrying { write(descriptor, buffer.baseAddress, buffer.count) }
            }
            guard written > 0 else { return false }
            rest = rest.dropFirst(written)
        }
        return true
    }
}
