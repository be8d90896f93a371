package org.springframework.http;

public class ResponseEntity<T> {
    public ResponseEntity(T body, HttpStatus status) {}
}
