#if canImport(Glibc)
package import Glibc
#elseif canImport(Musl)
package import Musl
#else
package import Darwin
#endif

/// A value behind a mutex, for short critical sections that call no user code. Copies share both.
///
/// A pthread mutex and not `Synchronization.Mutex`: the latter's futex is invisible to the thread sanitizer on Linux,
/// which then reports false races. Inlinable: in other modules it would otherwise not know the value's type.
package struct Locked<Value: ~Copyable>: @unchecked Sendable {
    /// The mutex and, behind it in the same allocation, the value: there both have an address of their own.
    package final class Storage: ManagedBuffer<pthread_mutex_t, Value> {
        deinit {
            withUnsafeMutablePointers { mutex, value in
                value.deinitialize(count: 1)
                pthread_mutex_destroy(mutex)
            }
        }
    }

    package let storage: ManagedBuffer<pthread_mutex_t, Value>

    package init(_ value: consuming sending Value) {
        storage = Storage.create(minimumCapacity: 1) { _ in pthread_mutex_t() }
        _ = storage.withUnsafeMutablePointerToHeader { pthread_mutex_init($0, nil) }
        storage.withUnsafeMutablePointerToElements { $0 }.initialize(to: value)
    }

    @inlinable
    package func withLock<Result: ~Copyable, Failure: Error>(
        _ body: (inout Value) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try storage.withUnsafeMutablePointers { (mutex, value) throws(Failure) -> Result in
            pthread_mutex_lock(mutex)
            defer { pthread_mutex_unlock(mutex) }
            return try body(&value.pointee)
        }
    }
}
